"""AWS's targets with images: what wraps AWS's calls wraps the requests to its registry, too, in one row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clouddeploy.deployer import Deployer
from clouddeploy.packaging.images.http import urllib_wire
from clouddeploy.spec import Alarm, Autoscaling, Compute, Schedule
from clouddeploy.testing.faults import Call, Transport
from clouddeploy.testing.rig import Wrap
from clouddeploy.testing.rigs import (
    LOCAL_RUNTIME,
    AwsRig,
    _emulator,
    local_architecture,
    local_wheels,
    mutates,
)
from clouddeploy.testing.wire import SERVICE, transport_of, wire_through


@dataclass
class ImageRig(AwsRig):
    """A target of AWS with ``package="image"`` on an embedded cloud of its own."""

    def options(self) -> dict[str, Any]:
        """Provider options that reach the embedded cloud, whose registry has the base image."""
        host = self.cloud.url.partition("://")[2]
        return {**super().options(), "package": "image", "base_registry": host}

    def deployer(self, wrap: Wrap | None = None) -> Deployer:
        """A deployer with nothing remembered from others."""
        deployer = super().deployer()
        if wrap is None:
            return deployer
        provider: Any = deployer.provider
        aws, registry = provider.aws.transport, transport_of(urllib_wire())

        def both(service: str, operation: str, params: Mapping[str, Any]) -> Any:
            return (registry if service == SERVICE else aws)(service, operation, params)

        wrapped: Transport = wrap(both)
        fresh = Deployer(self.target, **self.options(), wire=wire_through(wrapped))
        fresh.provider.aws.transport = wrapped  # type: ignore[attr-defined]
        return fresh

    def mutates(self, call: Call) -> bool:
        """Whether a call changes something."""
        service, operation = call
        return not operation.startswith(("GET", "HEAD")) if service == SERVICE else mutates(call)


@contextmanager
def lambda_images() -> Iterator[ImageRig]:
    """Lambda with images and every status instant, for this machine's own Python, without a network."""
    wish = {"compute": Compute(memory_mb=512, architecture=local_architecture())}
    with local_wheels("numpy"), _emulator() as cloud:
        extra = {"runtime": LOCAL_RUNTIME}
        rescaled = Autoscaling(min=1, max=2, utilization=0.5)
        yield ImageRig(cloud, "lambda", wish, rescaled, extra, every_read=False)


SERVED = ("numpy", "uvloop", "httptools", "msgspec", "orjson")
"""What an image with clouddeploy's server has besides a model's own requirements."""


def local_machine() -> str:
    """A machine type with this machine's architecture."""
    return "ml.c7g.large" if local_architecture() == "arm64" else "ml.m5.large"


@contextmanager
def sagemaker_images() -> Iterator[ImageRig]:
    """SageMaker with images and every status instant, for this machine's own Python, without a network."""
    wish = {
        "compute": Compute(instance=local_machine()),
        "autoscaling": Autoscaling(
            min=1, max=4, requests_per_minute=600, schedules=(Schedule(cron="0 8 * * 1-5", min=2),)
        ),
        "alarms": (Alarm(metric="errors_5xx", above=1),),
    }
    with local_wheels(*SERVED), _emulator() as cloud:
        extra = {"python": LOCAL_RUNTIME.removeprefix("python")}
        rescaled = Autoscaling(min=2, max=3, requests_per_minute=300)
        yield ImageRig(cloud, "sagemaker", wish, rescaled, extra, every_read=False)
