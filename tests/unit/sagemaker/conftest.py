"""SageMaker on an embedded cloud of the tests' own, with every call recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.deployer import Deployer
from clouddeploy.emulator.server import Emulator
from clouddeploy.model import Model
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.sagemaker import SageMaker
from clouddeploy.spec import Alarm, Autoscaling, Compute, Deployment
from clouddeploy.testing.inventory import aws_inventory
from clouddeploy.testing.models import linear_model

REGION = "eu-west-1"
READS = ("Get", "Head", "List", "Describe", "Filter", "Invoke")
WISH: dict[str, Any] = {
    "compute": Compute(instance="ml.m5.large"),
    "autoscaling": Autoscaling(min=1, max=4, requests_per_minute=600),
}


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@dataclass
class Bench:
    """An empty cloud, and deployers to it whose calls are kept."""

    url: str
    calls: list[tuple[str, str]] = field(default_factory=list)

    def deployer(self, before: Callable[[str, str, Mapping[str, Any]], None] | None = None) -> Deployer:
        """A deployer that remembers nothing of others. `before` sees each call, and may raise."""
        self.calls.clear()
        deployer = Deployer("sagemaker", **self.options)
        provider = deployer.provider
        assert isinstance(provider, SageMaker)
        inner = provider.aws.transport

        def recording(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            self.calls.append((service, operation))
            if before:
                before(service, operation, params)
            return inner(service, operation, params)

        provider.aws.transport = recording
        return deployer

    @property
    def options(self) -> dict[str, Any]:
        return {
            "region": REGION,
            "endpoint_url": self.url,
            "access_key_id": "test",
            "secret_access_key": "test",
            "poll_s": 0.0,
        }

    @property
    def aws(self) -> Aws:
        """The seam, unrecorded."""
        options = {k: v for k, v in self.options.items() if k != "poll_s"}
        return Aws(**options, retry_delay_s=0)

    def inventory(self) -> dict[str, str]:
        """All that is in the cloud, without the alarms that target tracking makes under chance names."""
        return {k: v for k, v in aws_inventory(self.url, REGION).items() if "TargetTracking" not in k}

    def changing(self) -> list[tuple[str, str]]:
        """The recorded calls that change something."""
        return [c for c in self.calls if not c[1].startswith(READS)]


@pytest.fixture
def bench(emulator: Emulator) -> Bench:
    emulator.reset()
    return Bench(emulator.url)


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


ALARM = Alarm(metric="errors_5xx", above=1)
