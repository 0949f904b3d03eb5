"""What CloudWatch is told of invocations.

"Metrics for monitoring Amazon SageMaker AI with Amazon CloudWatch", endpoint invocation metrics (Amazon
SageMaker Developer Guide). They are gathered by minute, and handed to moto when somebody asks for
metrics, so that an invocation pays next to nothing.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from clouddeploy.emulator.backends import metrics
from clouddeploy.emulator.call import Call

MICROSECONDS = 1e6
MINUTE_S = 60


@dataclass
class _Minute:
    last: float = 0.0
    count: int = 0
    client_errors: int = 0
    server_errors: int = 0
    total_s: float = 0.0
    least_s: float = float("inf")
    most_s: float = 0.0


class Metrics:
    """Figures of every endpoint's variants that moto hasn't been told yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minutes: dict[tuple[str, str, str, int], _Minute] = {}

    def add(self, region: str, endpoint: str, variant: str, status: int, seconds: float) -> None:
        """One invocation: the container's status (0 when it gave none) and the time that it took."""
        now = time.time()
        key = (region, endpoint, variant, int(now // MINUTE_S))
        with self._lock:
            minute = self._minutes.get(key)
            if minute is None:
                minute = self._minutes[key] = _Minute()
            minute.last = now
            minute.count += 1
            minute.client_errors += 400 <= status < 500
            minute.server_errors += status >= 500 or status == 0
            minute.total_s += seconds
            minute.least_s = min(minute.least_s, seconds)
            minute.most_s = max(minute.most_s, seconds)

    def flush(self) -> None:
        """Tell moto all that was gathered."""
        with self._lock:
            minutes, self._minutes = self._minutes, {}
        for (region, endpoint, variant, _), minute in minutes.items():
            dimensions = {"EndpointName": endpoint, "VariantName": variant}
            # A second back: a query that ends now leaves out what carries this very second.
            at = min(minute.last, time.time() - 1)
            n = minute.count
            for name, total in (
                ("Invocations", n),
                ("InvocationsPerInstance", n),
                ("Invocation4XXErrors", minute.client_errors),
                ("Invocation5XXErrors", minute.server_errors),
            ):
                most = float(total > 0)
                metrics.put(
                    region, name, dimensions, at=at, count=n, total=total, least=float(total == n), most=most,
                    unit="None",
                )  # fmt: skip
            metrics.put(
                region, "ModelLatency", dimensions, at=at, count=n, total=minute.total_s * MICROSECONDS,
                least=minute.least_s * MICROSECONDS, most=minute.most_s * MICROSECONDS, unit="Microseconds",
            )  # fmt: skip

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._minutes.clear()

    def before(self, call: Call) -> None:
        """Flush when the call asks CloudWatch for metrics."""
        if call.service == "monitoring" and "Metric" in call.operation:
            self.flush()
