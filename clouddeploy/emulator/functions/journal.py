"""What functions print, on its way to the emulated CloudWatch Logs.

Lines are gathered and handed to moto when somebody asks Logs or CloudWatch for anything, so that an
invocation doesn't pay for it. Lines in the embedded metric format become metrics then ("Specification:
Embedded metric format", Amazon CloudWatch User Guide).
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from clouddeploy.emulator.backends import logs, metrics
from clouddeploy.emulator.call import Call

ASKED = frozenset({"logs", "monitoring"})
KEPT = 5000
EMBEDDED = '"_aws"'


@dataclass(frozen=True)
class Stream:
    """One log stream."""

    region: str
    group: str
    name: str


class Journal:
    """Lines that moto hasn't been told yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[tuple[Stream, int, str]] = []
        self._telling = threading.Lock()
        self._shut: set[tuple[str, str]] = set()

    def add(self, stream: Stream, lines: list[str]) -> None:
        """Append lines to a stream."""
        now = int(time.time() * 1000)
        with self._lock:
            if (stream.region, stream.group) in self._shut:
                return
            self._lines += [(stream, now, line) for line in lines]
            full = len(self._lines) > KEPT
        if full:
            self.flush()

    def before(self, call: Call) -> None:
        """Flush when the call is about logs or metrics."""
        if call.service in ASKED:
            self.flush()

    def flush(self) -> None:
        """Tell moto all that was gathered."""
        with self._telling:  # in order, and nobody's question overtakes what was gathered before it
            with self._lock:
                lines, self._lines = self._lines, []
            streams: dict[Stream, list[tuple[int, str]]] = {}
            for stream, at, line in lines:
                streams.setdefault(stream, []).append((at, line))
            for stream, events in streams.items():
                logs.write_all(stream.region, stream.group, stream.name, events)
                for at, line in events:
                    if EMBEDDED in line:
                        _embedded(stream.region, at / 1000, line)

    def shut(self, region: str, group: str) -> None:
        """Take no more lines for a group: its function is deleted, and what a dying process still
        prints must not bring a deleted group back."""
        self.flush()
        with self._lock:
            self._shut.add((region, group))

    def open(self, region: str, group: str) -> None:
        """Take lines for a group again."""
        with self._lock:
            self._shut.discard((region, group))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._lines.clear()
            self._shut.clear()


def _embedded(region: str, at: float, line: str) -> None:
    """The metrics that a line carries; a line that isn't what it seems carries none."""
    try:
        found: Any = json.loads(line)
        for directive in found["_aws"]["CloudWatchMetrics"]:
            for names in directive.get("Dimensions", [[]]):
                dimensions = {name: str(found[name]) for name in names}
                for metric in directive["Metrics"]:
                    value = found[metric["Name"]]
                    values = [float(v) for v in (value if isinstance(value, list) else [value])]
                    metrics.put(
                        region, metric["Name"], dimensions, at=min(at, time.time() - 1), count=len(values),
                        total=sum(values), least=min(values), most=max(values),
                        unit=metric.get("Unit", "None"), namespace=directive["Namespace"],
                    )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError):
        return
