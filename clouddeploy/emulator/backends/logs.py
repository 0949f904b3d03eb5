"""moto's CloudWatch Logs, written to from inside."""

from __future__ import annotations

import time
from typing import Any

from clouddeploy.emulator.backends.turns import turn
from clouddeploy.emulator.settings import ACCOUNT


def _backend(region: str) -> Any:
    from moto.logs.models import logs_backends

    return logs_backends[ACCOUNT][region]


def open_stream(region: str, group: str, stream: str) -> None:
    """Make a log stream, and its group when it is missing."""
    with turn("logs"):
        backend = _backend(region)
        backend.ensure_log_group(group)
        backend.ensure_log_stream(group, stream)


def write(region: str, group: str, stream: str, line: str) -> None:
    """Append one line; group and stream are made when they are missing."""
    with turn("logs"):
        backend = _backend(region)
        backend.ensure_log_group(group)
        backend.ensure_log_stream(group, stream)
        event = {"timestamp": int(time.time() * 1000), "message": line or " "}
        backend.put_log_events(group, stream, [event])


def write_all(region: str, group: str, stream: str, events: list[tuple[int, str]]) -> None:
    """Append lines with their Unix times in milliseconds; group and stream are made when missing."""
    with turn("logs"):
        backend = _backend(region)
        backend.ensure_log_group(group)
        backend.ensure_log_stream(group, stream)
        told = [{"timestamp": at, "message": line or " "} for at, line in events]
        backend.put_log_events(group, stream, told)
