"""The rigs of the providers that clouddeploy brings."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clouddeploy.deployer import Deployer
from clouddeploy.spec import Alarm, Architecture, Autoscaling, Compute, Schedule
from clouddeploy.testing.faults import Call, Fault, Transport, aws_error, google_error
from clouddeploy.testing.google_inventory import GoogleCloud
from clouddeploy.testing.inventory import SERVICES, aws_inventory
from clouddeploy.testing.packages import WrittenOnce
from clouddeploy.testing.rig import Wrap
from clouddeploy.testing.wheelhouse import Wheelhouse

REGION = "eu-west-1"
LOCAL_RUNTIME = f"python{sys.version_info[0]}.{sys.version_info[1]}"
SERVER = ("httptools", "msgspec", "numpy", "orjson", "uvloop")
"""Distributions that the image with our server holds."""
READS = ("Get", "Head", "List", "Describe", "Filter", "Invoke", "Search", "Simulate")


def mutates(call: Call) -> bool:
    """Whether a call changes something, by the naming convention of the AWS APIs."""
    return not call[1].startswith(READS)


@dataclass
class AwsRig:
    """A target of AWS on an embedded cloud of its own.

    Args:
        cloud: the running emulator.
        target: its name.
        wish: further arguments of a deploy, so that it has everything the target can have.
        rescaled: another policy than that of `wish`.
        extra: further options of the target.
    """

    cloud: Any
    target: str
    wish: dict[str, Any]
    rescaled: Autoscaling
    extra: dict[str, Any] = field(default_factory=dict)
    attempts: int = 5
    every_read: bool = True
    _pid: int = field(default_factory=os.getpid, repr=False)
    _open: Transport | None = field(default=None, repr=False)
    _unopened: Transport | None = field(default=None, repr=False)

    def options(self) -> dict[str, Any]:
        """Provider options that reach the embedded cloud without waiting between polls."""
        return {
            "region": REGION,
            "endpoint_url": self.cloud.url,
            "access_key_id": "test",
            "secret_access_key": "test",
            "poll_s": 0.0,
            **self.extra,
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

    def error(self, fault: Fault, service: str, operation: str) -> Exception:
        """What boto3 raises."""
        return aws_error(fault, service, operation)

    def mutates(self, call: Call) -> bool:
        """Whether a call changes something."""
        return mutates(call)

    def inventory(self) -> dict[str, str]:
        """Every object in the embedded cloud."""
        return aws_inventory(self.cloud.url, REGION)


@dataclass
class MemoryRig:
    """The in-memory provider on a cloud of its own."""

    cloud: Any
    target: str = "memory"
    attempts: int = 1
    every_read: bool = True
    wish: dict[str, Any] = field(default_factory=lambda: {"autoscaling": Autoscaling(min=1, max=4)})
    rescaled: Autoscaling = field(default_factory=lambda: Autoscaling(min=2, max=3))

    def deployer(self, wrap: Wrap | None = None) -> Deployer:
        """A deployer with nothing remembered from others."""
        deployer = Deployer(self.target, cloud=self.cloud)
        if wrap is not None:
            client = deployer.provider.client  # type: ignore[attr-defined]
            client.transport = wrap(client.transport)
        return deployer

    def error(self, fault: Fault, service: str, operation: str) -> Exception:
        """What boto3 raises."""
        return aws_error(fault, service, operation)

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
def local() -> Iterator[Any]:
    """Background services of this machine, in a state folder of their own."""
    from clouddeploy.testing.local_rig import LocalRig

    with tempfile.TemporaryDirectory() as folder:
        rig = LocalRig(Path(folder) / "services")
        try:
            yield rig
        finally:
            rig.clear()


@contextmanager
def _emulator() -> Iterator[Any]:
    from clouddeploy.emulator.server import Emulator
    from clouddeploy.emulator.settings import Settings

    # What serves the same bytes is kept alive between deployments: suites make hundreds of them.
    with Emulator(Settings(keep_unused_s=60)) as cloud:
        yield cloud


@contextmanager
def sagemaker() -> Iterator[AwsRig]:
    """SageMaker with every status instant."""
    wish = {
        "compute": Compute(instance="ml.m5.large"),
        "autoscaling": Autoscaling(
            min=1, max=4, requests_per_minute=600, schedules=(Schedule(cron="0 8 * * 1-5", min=2),)
        ),
        "alarms": (Alarm(metric="errors_5xx", above=1),),
    }
    with _emulator() as cloud:
        yield AwsRig(cloud, "sagemaker", wish, Autoscaling(min=2, max=3, requests_per_minute=300))


@contextmanager
def aws_lambda() -> Iterator[AwsRig]:
    """Lambda with every status instant, for this machine's own Python and processor, without a network."""
    wish = {
        "compute": Compute(memory_mb=512, architecture=local_architecture()),
        "autoscaling": Autoscaling(
            min=1, max=3, utilization=0.7, schedules=(Schedule(cron="0 8 * * 1-5", min=2),)
        ),
        "alarms": (Alarm(metric="errors_5xx", above=1),),
    }
    from clouddeploy.packaging.aws_lambda import lambda_artifact

    with local_wheels("numpy"), _emulator() as cloud, tempfile.TemporaryDirectory() as kept:
        rescaled = Autoscaling(min=1, max=2, utilization=0.5)
        packager = WrittenOnce(lambda_artifact, Path(kept))
        extra = {"runtime": LOCAL_RUNTIME, "http_api": True, "packager": packager}
        yield AwsRig(cloud, "lambda", wish, rescaled, extra, every_read=False)


@dataclass
class GoogleRig:
    """A target of Google Cloud on an embedded cloud of its own.

    Args:
        cloud: the running emulator.
        target: its name.
        wish: further arguments of a deploy, so that it has everything the target can have.
        rescaled: another policy than that of `wish`.
        extra: further options of the target.
    """

    cloud: Any
    target: str
    wish: dict[str, Any]
    rescaled: Autoscaling
    extra: dict[str, Any] = field(default_factory=dict)
    attempts: int = 5
    every_read: bool = False
    project: str = "embedded"
    region: str = "europe-west1"

    def options(self) -> dict[str, Any]:
        """Provider options that reach the embedded cloud without waiting between polls."""
        return {
            "project": self.project,
            "region": self.region,
            "endpoint_url": self.cloud.google_url,
            "credentials": "anonymous",
            "poll_s": 0.0,
            **self.extra,
        }

    def deployer(self, wrap: Wrap | None = None) -> Deployer:
        """A deployer with nothing remembered from others."""
        deployer = Deployer(self.target, **self.options())
        if wrap is not None:
            gcp = deployer.provider.gcp  # type: ignore[attr-defined]
            gcp.transport = wrap(gcp.transport)
        return deployer

    def error(self, fault: Fault, service: str, operation: str) -> Exception:
        """What Google's clients raise."""
        return google_error(fault, service, operation)

    def mutates(self, call: Call) -> bool:
        """Whether a call changes something."""
        return not call[1].startswith((*READS, "Download", "TestIam", "Query"))

    def inventory(self) -> dict[str, str]:
        """Every object in the project."""
        return GoogleCloud(self.cloud.google_url, self.project, self.region).inventory()


@contextmanager
def cloud_functions() -> Iterator[GoogleRig]:
    """Cloud Functions with every operation instant, for this machine's own Python, without a network."""
    wish = {
        "compute": Compute(memory_mb=1024),
        "autoscaling": Autoscaling(min=0, max=3, concurrency=4),
        "alarms": (Alarm(metric="errors_5xx", above=1),),
    }
    from clouddeploy.packaging.cloud_functions import function_source

    with (
        local_wheels("numpy", framework=True),
        _emulator() as cloud,
        tempfile.TemporaryDirectory() as kept,
    ):
        packager = WrittenOnce(function_source, Path(kept))
        extra = {"runtime": LOCAL_RUNTIME.replace(".", ""), "packager": packager}
        yield GoogleRig(cloud, "cloud-functions", wish, Autoscaling(min=1, max=2, concurrency=4), extra)


@contextmanager
def cloud_run() -> Iterator[GoogleRig]:
    """Cloud Run with every operation instant, for this machine's own Python, without a network."""
    wish = {
        "compute": Compute(memory_mb=1024, architecture=local_architecture()),
        "autoscaling": Autoscaling(min=0, max=3, concurrency=4),
    }
    with local_wheels(*SERVER), _emulator() as cloud:
        extra = {"runtime": LOCAL_RUNTIME.replace(".", "")}
        yield GoogleRig(cloud, "cloud-run", wish, Autoscaling(min=1, max=2, concurrency=4), extra)


@contextmanager
def local_wheels(*names: str, framework: bool = False) -> Iterator[None]:
    """Let packages for other machines be made of what is installed here, and of nothing else.

    Args:
        names: distributions of this interpreter.
        framework: functions-framework and what it needs, too, from the emulator's own environment.
    """
    # Functions made of them run on this machine, so its own C library counts, not Lambda's.
    python = "cp{}{}".format(*sys.version_info[:2])
    tag = f"{python}-{python}-manylinux_2_17_{platform.machine()}"
    with tempfile.TemporaryDirectory() as folder:
        house = Wheelhouse(Path(folder))
        for name in names:
            house.repack(name, tag=tag)
        if framework:
            _repack_framework(house)
        before = {name: os.environ.get(name) for name in house.env()}
        os.environ.update(house.env())
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _repack_framework(house: Wheelhouse) -> None:
    from clouddeploy.emulator.google.plane.framework import PINS, prepare
    from clouddeploy.emulator.plane.environment import site_of

    site = site_of(prepare())
    for pin in PINS:
        house.repack(pin.partition("==")[0], site=site)


def local_architecture() -> Architecture:
    """This machine's processor, in our words."""
    return "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
