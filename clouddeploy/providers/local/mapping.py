"""What this machine makes of each field of the autoscaling policy: copies are processes of one machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from clouddeploy.engine.finding import Finding, Mapped
from clouddeploy.errors import SpecError
from clouddeploy.providers.local.cron import Cron
from clouddeploy.providers.local.scaling import CAPACITY, IN_S, OUT_S
from clouddeploy.spec import Autoscaling

AUTOSCALING: Mapping[str, Mapped] = {
    "min": Mapped("approximated", "server processes of each release in service; at least one, also for 0"),
    "max": Mapped("exact", "server processes of each release in service at the most"),
    "requests_per_minute": Mapped("exact", "requests of the past minute, counted where all of them pass"),
    "concurrency": Mapped("exact", "mean of the requests in progress over the past second"),
    "cpu": Mapped(
        "approximated",
        "cores that a copy's processes use, 1 being one core; measured on Linux, elsewhere not",
    ),
    "utilization": Mapped(
        "approximated",
        f"requests in progress as a share of Compute.max_concurrency, of {CAPACITY} where none is given",
    ),
    "scale_out_cooldown_s": Mapped("exact", f"seconds between two increases; {OUT_S:g} where none is given"),
    "scale_in_cooldown_s": Mapped(
        "exact", f"seconds of lower load before one copy goes; {IN_S:g} where none is given"
    ),
    "schedules": Mapped("exact", "looked at every second while the service runs"),
}
"""What becomes of each field of `Autoscaling`."""


def scaling_findings(wish: Autoscaling) -> Iterator[Finding]:
    """What becomes of the values of one policy.

    Raises:
        SpecError: a schedule can't be read.
    """
    for schedule in wish.schedules:
        Cron.parse(schedule.cron)
        _check_zone(schedule.timezone)
    if wish.min == 0:
        yield Finding("autoscaling.min", "approximated", AUTOSCALING["min"].how, "set min to 1, or leave it")
    for name in ("cpu", "utilization"):
        if getattr(wish, name) is not None:
            yield Finding(
                f"autoscaling.{name}", "approximated", AUTOSCALING[name].how, "use concurrency, or leave it"
            )


def policy(wish: Autoscaling) -> dict[str, Any]:
    """The policy as plain values."""
    found = asdict(wish)
    return {**found, "schedules": [dict(schedule) for schedule in found["schedules"]]}


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SpecError(
            f"Schedule.timezone is {name!r}",
            why="there is no such time zone on this machine",
            fix="give an IANA name such as 'Europe/Dublin', or install tzdata",
        ) from error
