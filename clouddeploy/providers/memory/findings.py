"""What a cloud of one process makes of a wish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clouddeploy.engine.finding import Finding, Mapped
from clouddeploy.spec import Autoscaling, Deployment

AUTOSCALING: Mapping[str, Mapped] = {
    field: Mapped("impossible", "recorded only: one copy always runs, in this process")
    for field in (
        "min", "max", "requests_per_minute", "concurrency", "cpu", "utilization",
        "scale_out_cooldown_s", "scale_in_cooldown_s", "schedules",
    )
}  # fmt: skip
"""What becomes of each field of `Autoscaling`."""


def findings(deployment: Deployment) -> list[Finding]:
    """What can't be done, or not quite, and what follows."""
    return [*_scaling(deployment.autoscaling), *_surroundings(deployment)]


def _scaling(wish: Autoscaling) -> Iterator[Finding]:
    if wish != Autoscaling():
        yield Finding(
            "autoscaling",
            "approximated",
            "one copy always runs, in this process",
            "the limits are recorded, nothing scales",
        )


def _surroundings(deployment: Deployment) -> Iterator[Finding]:
    if deployment.compute.instance or deployment.compute.memory_mb:
        yield Finding(
            "compute", "approximated", "it runs on this machine", "the machine type is recorded only"
        )
    if deployment.env:
        yield Finding(
            "env", "impossible", "the model shares this process's environment", "set the variables yourself"
        )
    if deployment.alarms:
        yield Finding("alarms", "impossible", "nothing watches the endpoint", "read its metrics()")
    access = deployment.access
    if access.role or access.subnets or access.kms_key or access.public or access.cors_origins:
        yield Finding(
            "access", "impossible", "only this process can reach the endpoint", "leave access as it is"
        )
