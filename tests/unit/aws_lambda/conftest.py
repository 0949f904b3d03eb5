"""Lambda's API in memory before an embedded cloud of the tests' own, with every call recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.emulator.server import Emulator
from clouddeploy.model import Model
from clouddeploy.packaging.artifact import Report
from clouddeploy.providers.aws.client import Aws, BotoTransport
from clouddeploy.providers.aws_lambda import Lambda
from clouddeploy.spec import Alarm, Autoscaling, Compute, Deployment, digest_of
from clouddeploy.testing.inventory import aws_inventory
from clouddeploy.testing.models import linear_model
from tests.unit.aws_lambda.fake_lambda import REGION, FakeLambda

READS = ("Get", "Head", "List", "Describe", "Filter", "Invoke")
WISH: dict[str, Any] = {"compute": Compute(memory_mb=512, architecture="arm64", timeout_s=20)}
KEPT_RUNNING = Autoscaling(min=2, max=4, utilization=0.6)
ALARM = Alarm(metric="errors_5xx", above=1)


@dataclass(frozen=True)
class Text:
    """An artifact that is a line of text."""

    text: str
    warnings: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.text)

    def write(self, out: Path, *, report: Report | None = None) -> Path:
        out.write_text(self.text)
        return out


def packed(model: Model, *, python: str, architecture: str) -> Text:
    """A package that tells the model and what it is for."""
    return Text(f"{model.digest[:12]} {python} {architecture}")


@dataclass
class Bench:
    """An empty cloud, and deployers to it whose calls are kept."""

    url: str
    cloud: FakeLambda
    calls: list[tuple[str, str]] = field(default_factory=list)

    def provider(
        self, before: Callable[[str, str, Mapping[str, Any]], None] | None = None, **options: Any
    ) -> Lambda:
        """A provider that remembers nothing of others. `before` sees each call, and may raise."""
        self.calls.clear()

        def recording(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            self.calls.append((service, operation))
            if before:
                before(service, operation, params)
            return self.cloud(service, operation, params)

        chosen = {"packager": packed, **options}
        return Lambda(region=REGION, transport=recording, poll_s=0.0, **chosen)

    def deployer(self, *args: Any, **options: Any) -> Deployer:
        """A deployer on such a provider."""
        deployer = Deployer("memory")
        deployer.target = "lambda"
        deployer.provider = self.provider(*args, **options)
        return deployer

    def inventory(self) -> dict[str, str]:
        """All that is in the cloud."""
        rest = {k: v for k, v in aws_inventory(self.url, REGION).items() if "TargetTracking" not in k}
        return {**rest, **self.cloud.inventory()}

    def changing(self) -> list[str]:
        """The recorded operations that change something."""
        return [o for _, o in self.calls if not o.startswith(READS)]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def bench(emulator: Emulator) -> Bench:
    emulator.reset()
    boto = BotoTransport(
        region=REGION, endpoint_url=emulator.url, access_key_id="test", secret_access_key="test"
    )
    return Bench(emulator.url, FakeLambda(boto))


@pytest.fixture
def aws(bench: Bench) -> Aws:
    """The seam, unrecorded."""
    return Aws(region=REGION, transport=bench.cloud, retry_delay_s=0)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return linear_model(tmp_path, 1.0)


@pytest.fixture
def newer(tmp_path: Path) -> Model:
    return linear_model(tmp_path, 2.0)


@pytest.fixture
def wish(model: Model) -> Callable[..., Deployment]:
    """Makes a deployment named ``digits`` with the given fields."""
    return lambda **fields: Deployment(**{"name": "digits", "model": model, **fields})
