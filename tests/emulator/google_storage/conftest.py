"""Cloud Storage on loopback, and the real client that speaks to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.emulator.google.storage import Storage
from clouddeploy.emulator.http.listener import LOOPBACK, Listener
from clouddeploy.emulator.http.message import Request, Response

ELSEWHERE = "belongs-to-somebody-else"


class Served:
    """A `Storage` behind a listener of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.denied: set[str] = set()
        self.storage = Storage(folder, lambda: self.url, taken=lambda: (ELSEWHERE,), permits=self._permits)
        self.listener = Listener(self._handle, streamed=self.storage.streams)
        self.url = f"http://{LOOPBACK}:{self.listener.port}"

    def _permits(self, request: Request, permission: str, bucket: str, name: str) -> bool:
        return permission not in self.denied

    def _handle(self, request: Request) -> Response:
        return self.storage.handle(request) or Response(404, [], b"not for storage")

    def client(self, project: str = "embedded") -> Any:
        """A client of Google's."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return Client(project=project, credentials=nobody, client_options={"api_endpoint": self.url})

    def files(self) -> int:
        """How many files hold bytes."""
        return len(list(self.folder.iterdir())) if self.folder.exists() else 0


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A storage of the test's own."""
    found = Served(tmp_path / "objects")
    found.listener.start()
    yield found
    found.listener.stop()


@pytest.fixture
def bucket(served: Served) -> Any:
    """An empty bucket."""
    return served.client().create_bucket("models", location="europe-west1")
