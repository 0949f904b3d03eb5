"""What CloudWatch is told of functions ("Types of metrics for Lambda functions", Lambda Developer Guide).

Gathered by minute, and handed to moto when somebody asks CloudWatch for metrics.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass

from clouddeploy.emulator.backends import metrics
from clouddeploy.emulator.call import Call

NAMESPACE = "AWS/Lambda"
MINUTE_S = 60


@dataclass
class _Minute:
    last: float = 0.0
    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    total_ms: float = 0.0
    least_ms: float = float("inf")
    most_ms: float = 0.0
    concurrent: int = 0


class FunctionMetrics:
    """Figures of every function that moto hasn't been told yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minutes: dict[tuple[str, str, str, int], _Minute] = defaultdict(_Minute)

    def _of(self, region: str, name: str, qualifier: str) -> list[_Minute]:
        """The function's own figures, and those of the version or alias that was called."""
        now = time.time()
        found = [self._minutes[region, name, q, int(now // MINUTE_S)] for q in {"", qualifier}]
        for minute in found:
            minute.last = now
        return found

    def ran(
        self, region: str, name: str, qualifier: str, *, failed: bool, seconds: float, concurrent: int
    ) -> None:
        """One invocation, and how many were under way when it began."""
        with self._lock:
            for minute in self._of(region, name, qualifier):
                minute.invocations += 1
                minute.errors += failed
                minute.total_ms += seconds * 1000
                minute.least_ms = min(minute.least_ms, seconds * 1000)
                minute.most_ms = max(minute.most_ms, seconds * 1000)
                minute.concurrent = max(minute.concurrent, concurrent)

    def throttled(self, region: str, name: str, qualifier: str) -> None:
        """One invocation that was refused; it counts neither as an invocation nor as an error."""
        with self._lock:
            for minute in self._of(region, name, qualifier):
                minute.throttles += 1

    def before(self, call: Call) -> None:
        """Flush when the call asks CloudWatch for metrics."""
        if call.service == "monitoring" and "Metric" in call.operation:
            self.flush()

    def flush(self) -> None:
        """Tell moto all that was gathered."""
        with self._lock:
            minutes, self._minutes = self._minutes, defaultdict(_Minute)
        for (region, name, qualifier, _), minute in minutes.items():
            _tell(region, name, qualifier, minute)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._minutes.clear()


def _tell(region: str, name: str, qualifier: str, minute: _Minute) -> None:
    dimensions = {"FunctionName": name}
    if qualifier:
        dimensions["Resource"] = f"{name}:{qualifier}"
    # A second back: a query that ends now leaves out what carries this very second.
    at, n = min(minute.last, time.time() - 1), minute.invocations
    counts = [("Throttles", minute.throttles, max(minute.throttles, 1))]
    if n:
        counts += [("Invocations", n, n), ("Errors", minute.errors, n)]
    for name_, total, count in counts:
        metrics.put(
            region, name_, dimensions, at=at, count=count, total=total, least=float(total == count),
            most=float(total > 0), unit="Count", namespace=NAMESPACE,
        )  # fmt: skip
    if n:
        metrics.put(
            region, "Duration", dimensions, at=at, count=n, total=minute.total_ms, least=minute.least_ms,
            most=minute.most_ms, unit="Milliseconds", namespace=NAMESPACE,
        )  # fmt: skip
        metrics.put(
            region, "ConcurrentExecutions", dimensions, at=at, count=1, total=minute.concurrent,
            least=minute.concurrent, most=minute.concurrent, unit="Count", namespace=NAMESPACE,
        )  # fmt: skip
