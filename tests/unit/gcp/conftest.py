"""An embedded Cloud Storage, and the seam that reaches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.emulator.google.storage import Storage
from clouddeploy.emulator.http.listener import Listener
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.survey import Survey

PROJECT = "digits-project"
REGION = "europe-west1"
BUCKET = "clouddeploy-digits-project-europe-west1"


@dataclass
class Cloud:
    """A Cloud Storage on loopback."""

    folder: Path
    taken: set[str] = field(default_factory=set)
    """Names of buckets that somebody else owns."""

    def __enter__(self) -> Cloud:
        self.storage = Storage(self.folder, lambda: self.url, taken=lambda: self.taken)
        self.listener = Listener(self._answer, streamed=self.storage.streams)
        self.listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.stop()
        self.storage.clear()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.listener.port}"

    def _answer(self, request: Request) -> Response:
        return self.storage.handle(request) or Response(404, [], b"")

    def seam(self, **options: Any) -> Gcp:
        """A seam that reaches it."""
        given = {"project": PROJECT, "region": REGION, "endpoint_url": self.url, "credentials": "anonymous"}
        return Gcp(**{"retry_delay_s": 0, **given, **options})


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with Cloud(tmp_path / "cloud") as running:
        yield running


@pytest.fixture
def gcp(cloud: Cloud) -> Gcp:
    """The seam to an empty cloud."""
    return cloud.seam()


@pytest.fixture
def survey(gcp: Gcp) -> Callable[[], Survey]:
    """A new look at the bucket each time it is called."""
    return lambda: Survey(gcp, BUCKET, "digits")
