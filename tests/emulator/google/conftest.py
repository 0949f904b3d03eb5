"""One embedded Google Cloud for all tests of a worker, and Google's own clients of it."""

from __future__ import annotations

import io
import itertools
import json
import os
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials

from clouddeploy.emulator import Emulator, Settings

NOBODY = AnonymousCredentials()  # type: ignore[no-untyped-call]
PROJECT, REGION = "embedded", "europe-west1"
LOCATION = f"projects/{PROJECT}/locations/{REGION}"
# What was set before any fixture changed it: the environment of functions-framework is made once.
CACHE = os.environ.get("CLOUDDEPLOY_CACHE_DIR")
MAIN = """
import json, os, sys
print("loading {mark}")
def predict(request):
    body = request.get_json(silent=True)
    print(json.dumps({{"severity": "WARNING", "message": "asked", "mark": "{mark}"}}))
    keep = {{k: v for k, v in os.environ.items() if k.startswith(("K_", "GREETING", "SECRET_", "GCE_"))}}
    return {{"mark": "{mark}", "body": body, "path": request.path, "env": keep}}
"""


def archive(main: str = "", **files: str) -> bytes:
    """A source as a zip."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as zipped:
        for name, text in {
            "main.py": main or MAIN.format(mark="one"),
            "requirements.txt": "",
            **files,
        }.items():
            zipped.writestr(name, text)
    return raw.getvalue()


@dataclass(frozen=True)
class Answer:
    """What a URL answered."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass
class Rig:
    """Clients of one embedded cloud, and the few steps that most tests begin with."""

    emulator: Emulator
    names: Iterator[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.emulator.google_url

    def fresh(self, stem: str = "digits") -> str:
        """A name that nothing else has."""
        return f"{stem}-{os.getpid()}-{next(self.names)}"

    def _transport(self, kind: Any) -> Any:
        host = self.url.removeprefix("http://")
        return kind(credentials=NOBODY, host=host, url_scheme="http")

    @cached_property
    def functions(self) -> Any:
        """Google's client of Cloud Functions v2."""
        from google.cloud import functions_v2
        from google.cloud.functions_v2.services.function_service.transports import (
            FunctionServiceRestTransport,
        )

        return functions_v2.FunctionServiceClient(transport=self._transport(FunctionServiceRestTransport))

    @cached_property
    def services(self) -> Any:
        """Google's client of Cloud Run's services."""
        from google.cloud import run_v2
        from google.cloud.run_v2.services.services.transports import ServicesRestTransport

        return run_v2.ServicesClient(transport=self._transport(ServicesRestTransport))

    @cached_property
    def revisions(self) -> Any:
        """Google's client of Cloud Run's revisions."""
        from google.cloud import run_v2
        from google.cloud.run_v2.services.revisions.transports import RevisionsRestTransport

        return run_v2.RevisionsClient(transport=self._transport(RevisionsRestTransport))

    @cached_property
    def storage(self) -> Any:
        """Google's client of Cloud Storage."""
        from google.cloud import storage  # type: ignore[attr-defined]

        return storage.Client(project=PROJECT, credentials=NOBODY, client_options={"api_endpoint": self.url})

    def call(self, method: str, path: str, body: Any = None, *, token: str = "") -> Answer:
        """Call an API by its path."""
        data = None if body is None else json.dumps(body).encode()
        return self.ask(f"{self.url}{path}", data, method=method, token=token)

    def ask(
        self,
        url: str,
        data: bytes | None = None,
        *,
        method: str = "",
        token: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; an error's answer is an answer."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(url, data, sent, method=method or ("POST" if data else "GET"))
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), dict(error.headers))

    def upload(self, data: bytes) -> dict[str, Any]:
        """Upload a source to a generated URL; where it is."""
        place = self.functions.generate_upload_url(request={"parent": LOCATION})
        assert self.ask(place.upload_url, data, method="PUT").status == 200
        return {"bucket": place.storage_source.bucket, "object_": place.storage_source.object_}

    def function(self, data: bytes | None = None, **service: Any) -> dict[str, Any]:
        """A function as the client takes it."""
        source = {"storage_source": self.upload(data if data is not None else archive())}
        build = {"runtime": "python311", "entry_point": "predict", "source": source}
        return {"build_config": build, "service_config": service}

    def create(self, data: bytes | None = None, **service: Any) -> Any:
        """A function that is deployed."""
        function = self.function(data, **service)
        request = {"parent": LOCATION, "function_id": self.fresh(), "function": function}
        return self.functions.create_function(request=request).result(timeout=120)

    def policy(self, service: str, *members: str) -> None:
        """Let members invoke a service."""
        policy = {"bindings": [{"role": "roles/run.invoker", "members": list(members)}]}
        self.services.set_iam_policy(request={"resource": service, "policy": policy})


@contextmanager
def started() -> Iterator[Rig]:
    """A cloud of its own, which finds the environment of functions-framework that this machine has."""
    with pytest.MonkeyPatch.context() as patch:
        if CACHE is None:
            patch.delenv("CLOUDDEPLOY_CACHE_DIR", raising=False)
        else:
            patch.setenv("CLOUDDEPLOY_CACHE_DIR", CACHE)
        emulator = Emulator(Settings(keep_unused_s=30)).start()
    try:
        yield Rig(emulator)
    finally:
        emulator.close()


@pytest.fixture(scope="session")
def google(cache: None) -> Iterator[Rig]:
    """Clients and steps for the worker's cloud."""
    with started() as rig:
        yield rig


@pytest.fixture
def settings(google: Rig) -> Iterator[Callable[..., None]]:
    """Change Google's settings for one test."""
    before = google.emulator.state()["settings"]["google"]
    yield lambda **changes: google.emulator.configure(google=changes)
    google.emulator.configure(google=before)
