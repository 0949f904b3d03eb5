"""The rigs of the providers that clouddeploy brings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.deployer import Deployer
from clouddeploy.spec import Alarm, Autoscaling, Compute, Schedule
from clouddeploy.testing.faults import Call, Transport
from clouddeploy.testing.inventory import SERVICES, aws_inventory
from clouddeploy.testing.rig import Wrap

READS = ("Get", "Head", "List", "Describe", "Filter", "Invoke", "Search", "Simulate")


def mutates(call: Call) -> bool:
    """Whether a call changes something, by the naming convention of the AWS APIs."""
    return not call[1].startswith(READS)


@dataclass
class SageMakerRig:
    """SageMaker on an embedded cloud of its own."""

    cloud: Any
    _pid: int = field(default_factory=os.getpid, repr=False)
    _open: Transport | None = field(default=None, repr=False)
    _unopened: Transport | None = field(default=None, repr=False)
    target: str = "sagemaker"
    attempts: int = 5
    wish: dict[str, Any] = field(
        default_factory=lambda: {
            "compute": Compute(instance="ml.m5.large"),
            "autoscaling": Autoscaling(
                min=1, max=4, requests_per_minute=600, schedules=(Schedule(cron="0 8 * * 1-5", min=2),)
            ),
            "alarms": (Alarm(metric="errors_5xx", above=1),),
        }
    )

    def options(self) -> dict[str, Any]:
        """Provider options that reach the embedded cloud without waiting between polls."""
        return {
            "region": "eu-west-1",
            "endpoint_url": self.cloud.url,
            "access_key_id": "test",
            "secret_access_key": "test",
            "poll_s": 0.0,
        }

    def deployer(self, wrap: Wrap | None = None) -> Deployer:
        """A deployer with nothing remembered from others."""
        deployer = Deployer(self.target, **self.options())
        aws = deployer.provider.aws  # type: ignore[attr-defined]
        # Clients are shared to save time. A forked process gets some that have no connection yet.
        if self._open is None:
            self._open = aws.transport
        elif self._unopened is None:
            aws.transport.prepare([*SERVICES, "sts", "sagemaker-runtime"])
            self._unopened = aws.transport
        aws.transport = self._open if os.getpid() == self._pid else self._unopened
        if wrap is not None:
            aws.transport = wrap(aws.transport)
        return deployer

    def mutates(self, call: Call) -> bool:
        """Whether a call changes something."""
        return mutates(call)

    def inventory(self) -> dict[str, str]:
        """Every object in the embedded cloud."""
        return aws_inventory(self.cloud.url, "eu-west-1")


@dataclass
class MemoryRig:
    """The in-memory provider on a cloud of its own."""

    cloud: Any
    target: str = "memory"
    attempts: int = 1
    wish: dict[str, Any] = field(default_factory=lambda: {"autoscaling": Autoscaling(min=1, max=4)})

    def deployer(self, wrap: Wrap | None = None) -> Deployer:
        """A deployer with nothing remembered from others."""
        deployer = Deployer(self.target, cloud=self.cloud)
        if wrap is not None:
            client = deployer.provider.client  # type: ignore[attr-defined]
            client.transport = wrap(client.transport)
        return deployer

    def mutates(self, call: Call) -> bool:
        """Whether a call changes something."""
        return mutates(call)

    def inventory(self) -> dict[str, str]:
        """Every object in the cloud."""
        found: dict[str, str] = self.cloud.inventory()
        return found


@contextmanager
def memory() -> Iterator[MemoryRig]:
    """The in-memory provider."""
    from clouddeploy.providers.memory.cloud import MemoryCloud

    yield MemoryRig(MemoryCloud())


@contextmanager
def sagemaker() -> Iterator[SageMakerRig]:
    """SageMaker with every status instant."""
    from clouddeploy.emulator.server import Emulator
    from clouddeploy.emulator.settings import Settings

    # What serves the same bytes is kept alive between deployments: suites make hundreds of them.
    with Emulator(Settings(keep_unused_s=60)) as cloud:
        yield SageMakerRig(cloud)
