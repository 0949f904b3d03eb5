"""The embedded Google Cloud's control plane and registry in this process, before instances that are noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.emulator.google.cloud import Google
from clouddeploy.emulator.google.plane import NotReady, RevisionSpec
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.registry import Store, stand_ins
from clouddeploy.emulator.settings import Settings
from clouddeploy.model import Model
from clouddeploy.packaging.artifact import Member
from clouddeploy.packaging.images import Base, Registry
from clouddeploy.packaging.images.server import server_image
from clouddeploy.providers.cloud_run import CloudRun
from clouddeploy.providers.gcp.client import Gcp, Transport
from clouddeploy.spec import Access, Autoscaling, Compute, Deployment
from clouddeploy.testing.google_inventory import GoogleCloud
from clouddeploy.testing.models import linear_model

PROJECT, REGION = "embedded", "europe-west1"
NAME = "digits"
READS = ("Get", "List", "Download", "Query")
WISH: dict[str, Any] = {"compute": Compute(memory_mb=512, timeout_s=20)}
FULL: dict[str, Any] = {
    **WISH,
    "access": Access(public=True),
    "autoscaling": Autoscaling(min=1, max=20, concurrency=8),
    "keep_releases": 1,
}


@dataclass(frozen=True)
class Text:
    """Files that are one: a line of text."""

    text: str
    warnings: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[Member, ...]:
        return (Member.of_bytes("app/main.py", self.text.encode()),)


def packed(model: Model, *, python: str, architecture: str, form: str, torch_index: str | None) -> Text:
    """Files that tell the model and what they are for."""
    return Text(f"{model.digest[:12]} {python} {architecture} {form} {torch_index}")


@dataclass
class Plane:
    """Runs nothing, but fails to start what its fields say."""

    start_log: tuple[str, ...] = ()
    specs: dict[str, RevisionSpec] = field(default_factory=dict)

    def add(self, spec: RevisionSpec) -> None:
        for line in self.start_log:
            spec.log("ERROR", line)
        if self.start_log:
            raise NotReady(
                "The user-provided container failed to start and listen on the port", self.start_log
            )
        self.specs[spec.name] = spec

    def serve(self, name: str, **_: Any) -> None:
        assert name in self.specs

    def remove(self, name: str) -> None:
        self.specs.pop(name, None)

    def handle(self, name: str, request: Request) -> Response:
        body = (self.specs[name].root / "app" / "main.py").read_bytes()
        return Response(200, [("Content-Type", "text/plain")], body)

    def processes(self) -> list[Any]:
        return []

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]

    def close(self) -> None:
        self.clear()


class ControlPlane(Google):
    """The embedded cloud with `Plane` for its data plane."""

    plane = Plane()  # type: ignore[assignment]


@dataclass
class Bench:
    """An empty cloud, and deployers to it whose calls are kept."""

    cloud: Google
    settings: list[Settings]
    transport: Transport
    calls: list[tuple[str, str]] = field(default_factory=list)

    @property
    def plane(self) -> Plane:
        found: Any = self.cloud.plane
        return found

    def set(self, **google: Any) -> None:
        """Change how the cloud behaves."""
        self.settings[0] = self.settings[0].changed({"google": google})

    def provider(
        self, before: Callable[[str, str, Mapping[str, Any]], None] | None = None, **options: Any
    ) -> CloudRun:
        """A provider that remembers nothing of others. `before` sees each call, and may raise."""
        self.calls.clear()

        def recording(service: str, method: str, params: Mapping[str, Any]) -> Any:
            self.calls.append((service, method))
            if before:
                before(service, method, params)
            return self.transport(service, method, params)

        given = {
            "project": PROJECT,
            "region": REGION,
            "credentials": "anonymous",
            "endpoint_url": self.cloud.url,
            "packager": packed,
            "poll_s": 0.0,
            **options,
        }
        return CloudRun(transport=recording, **given)

    def deployer(self, *args: Any, **options: Any) -> Deployer:
        """A deployer on such a provider."""
        deployer = Deployer("memory")
        deployer.target = "cloud-run"
        deployer.provider = self.provider(*args, **options)
        return deployer

    def answer(self) -> str:
        """What the service answers."""
        return self.deployer().endpoint(NAME).predict_raw(b"{}").body.decode()

    def inventory(self) -> dict[str, str]:
        """All that is in the cloud."""
        return GoogleCloud(self.cloud.url, PROJECT, REGION).inventory()

    def changing(self) -> list[str]:
        """The recorded methods that change something."""
        return [m for _, m in self.calls if not m.startswith(READS)]

    def service(self) -> dict[str, Any]:
        """The service itself."""
        (found,) = self.cloud.services.values()
        return found

    def host(self) -> str:
        """The registry's."""
        return self.cloud.url.removeprefix("http://")

    def push(self, repository: str, name: str, text: str) -> str:
        """Put an image that answers `text` into a new repository; its URI."""
        params = {"parent": f"projects/{PROJECT}/locations/{REGION}", "repositoryId": repository}
        self.transport("artifactregistry", "CreateRepository", {**params, "body": {"format": "DOCKER"}})
        registry = Registry(self.host(), credentials=lambda _: ("oauth2accesstoken", "embedded-cloud"))
        base = Base.resolve("python:3.13-slim", architecture="x86_64", registry=registry)
        image = server_image(base, Text(text).members)
        return image.push(registry, f"{PROJECT}/{repository}/{name}", "v1").reference


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("CLOUDDEPLOY_CACHE_DIR", str(tmp_path / "cache"))
    settings = [Settings()]
    registry = Store(tmp_path / "registry")
    registry.spaces.append(stand_ins.space())
    stand_ins.fill(registry)
    cloud = ControlPlane(tmp_path / "cloud", lambda: settings[0], registry)
    cloud.plane.clear()
    cloud.start()
    gcp = Gcp(project=PROJECT, region=REGION, credentials="anonymous", endpoint_url=cloud.url)
    try:
        yield Bench(cloud, settings, gcp.transport)
    finally:
        cloud.close()


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return linear_model(tmp_path, 1.0)


@pytest.fixture
def newer(tmp_path: Path) -> Model:
    return linear_model(tmp_path, 2.0)


@pytest.fixture
def wish(model: Model) -> Callable[..., Deployment]:
    """Makes a deployment named ``digits`` with the given fields."""
    return lambda **fields: Deployment(**{"name": NAME, "model": model, **fields})
