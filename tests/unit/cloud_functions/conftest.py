"""The embedded Google Cloud's control plane in this process, before instances that are only noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.emulator.google.cloud import Google
from clouddeploy.emulator.google.plane import BuildFailed, Built, NotReady, RevisionSpec
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.settings import Settings
from clouddeploy.model import Model
from clouddeploy.packaging.artifact import Report
from clouddeploy.providers.cloud_functions import CloudFunctions
from clouddeploy.providers.gcp.client import Gcp, Transport
from clouddeploy.spec import Autoscaling, Compute, Deployment, digest_of
from clouddeploy.testing.google_inventory import GoogleCloud
from clouddeploy.testing.models import linear_model

PROJECT, REGION = "embedded", "europe-west1"
NAME = "digits"
READS = ("Get", "List", "Download", "Query")
WISH: dict[str, Any] = {"compute": Compute(memory_mb=512, timeout_s=20)}
MANY = Autoscaling(min=1, max=20, concurrency=8)


@dataclass(frozen=True)
class Text:
    """A source that is a line of text."""

    text: str
    warnings: tuple[str, ...] = ()
    remote: Any = None

    @property
    def digest(self) -> str:
        return digest_of(self.text)

    def write(self, out: Path, report: Report | None = None) -> Path:
        out.write_text(self.text)
        return out

    def write_folder(self, out: Path) -> Path:
        out.mkdir()
        return self.write(out / "main.py").parent


def packed(model: Model, *, python: str, form: str, torch_index: str | None, model_bytes_in_zip: int) -> Text:
    """A source that tells the model and what it is for."""
    return Text(f"{model.digest[:12]} {python} {form} {torch_index} {model_bytes_in_zip}")


@dataclass
class Plane:
    """Builds nothing and runs nothing, but fails where its fields say so.

    Args:
        build_log: lines with which every build fails; none for one that doesn't.
        start_log: lines with which every revision of `broken` fails to start.
        broken: how the source begins that doesn't start.
    """

    build_log: tuple[str, ...] = ()
    start_log: tuple[str, ...] = ("RuntimeError: this handler is broken on purpose",)
    broken: str = "none"
    specs: dict[str, RevisionSpec] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)

    def build(self, path: Path, *, entry_point: str, runtime: str, log: Callable[[str, str], None]) -> Built:
        for line in self.build_log:
            log("ERROR", line)
        if self.build_log:
            raise BuildFailed(self.build_log[-1])
        self.texts[path] = path.read_text()
        return Built(path, path.parent, entry_point)

    def add(self, spec: RevisionSpec) -> None:
        if self.texts[spec.root].startswith(self.broken):
            for line in self.start_log:
                spec.log("ERROR", line)
            raise NotReady("The user-provided container failed to start and listen", self.start_log)
        self.specs[spec.name] = spec

    def serve(self, name: str, **_: Any) -> None:
        assert name in self.specs

    def remove(self, name: str) -> None:
        self.specs.pop(name, None)

    def handle(self, name: str, request: Request) -> Response:
        return Response(200, [("Content-Type", "text/plain")], self.texts[self.specs[name].root].encode())

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
    ) -> CloudFunctions:
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
        return CloudFunctions(transport=recording, **given)

    def deployer(self, *args: Any, **options: Any) -> Deployer:
        """A deployer on such a provider."""
        deployer = Deployer("memory")
        deployer.target = "cloud-functions"
        deployer.provider = self.provider(*args, **options)
        return deployer

    def inventory(self) -> dict[str, str]:
        """All that is in the cloud."""
        return GoogleCloud(self.cloud.url, PROJECT, REGION).inventory()

    def changing(self) -> list[str]:
        """The recorded methods that change something."""
        return [m for _, m in self.calls if not m.startswith(READS)]

    def function(self) -> dict[str, Any]:
        """The function itself."""
        (found,) = self.cloud.functions.values()
        return found

    def service(self) -> dict[str, Any]:
        """The Cloud Run service under it."""
        (found,) = self.cloud.services.values()
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    settings = [Settings()]
    cloud = ControlPlane(tmp_path / "cloud", lambda: settings[0])
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
