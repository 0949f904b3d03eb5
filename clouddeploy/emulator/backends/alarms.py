"""moto's CloudWatch alarms, read and written from inside."""

from __future__ import annotations

from typing import Any

from clouddeploy.emulator.backends.turns import turn
from clouddeploy.emulator.settings import ACCOUNT


def _backend(region: str) -> Any:
    from moto.cloudwatch.models import cloudwatch_backends

    return cloudwatch_backends[ACCOUNT][region]


def state(region: str, name: str) -> str:
    """``OK``, ``ALARM`` or ``INSUFFICIENT_DATA``; empty when there is no such alarm."""
    alarm = _backend(region).alarms.get(name)
    return str(alarm.state_value) if alarm is not None else ""


def put(region: str, **settings: Any) -> Any:
    """Make a metric alarm; moto's own object, for those that keep a list of them."""
    with turn("monitoring"):
        return _backend(region).put_metric_alarm(**settings)


def delete(region: str, names: list[str]) -> None:
    """Remove alarms; missing ones are left out."""
    with turn("monitoring"):
        backend = _backend(region)
        backend.delete_alarms([n for n in names if n in backend.alarms])
