"""What a function writes to its log: a JSON object a line, metrics for CloudWatch in it.

The keys ``timestamp``, ``level`` and ``requestId`` are those that Lambda's own log-level filter reads
("Configuring JSON and plain text log formats"). The metrics are in the form that CloudWatch takes from
logs ("Embedded metric format specification"), in the same line, so that a request stays one line.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from functools import lru_cache
from typing import Any

NAMESPACE = "CLOUDDEPLOY"
_TRACE_LIMIT = 32_768
_ENCODER = json.JSONEncoder(separators=(",", ":"), default=str)
_FAILED, _REFUSED = {"Name": "Errors", "Unit": "Count"}, {"Name": "Refusals", "Unit": "Count"}
_METRICS = [
    {"Name": "Latency", "Unit": "Milliseconds"},
    _FAILED,
    _REFUSED,
    {"Name": "BatchSize", "Unit": "Count"},
]
"""``Errors`` counts answers of status 5xx, ``Refusals`` those of 4xx: Lambda takes both for successes."""


class Journal:
    """Writes the lines of one function.

    Args:
        function: its name, the metrics' only dimension.
        metrics: whether requests carry metrics; None is those that were refused or failed, with that one.
    """

    def __init__(self, function: str = "", *, metrics: bool | None = None) -> None:
        self._function = function
        self._metrics = metrics

    def request(self, request_id: str, status: int, ms: float, **facts: Any) -> None:
        """One request's line; ``batch`` in `facts` counts its examples."""
        now = time.time()
        level = "ERROR" if status >= 500 else "WARN" if status >= 400 else "INFO"
        line = _head(now, level, request_id) | {"status": status, "ms": round(ms, 3)} | facts
        if self._metrics:
            more = {"Latency": line["ms"], "BatchSize": facts.get("batch", 0)}
            line |= self._measured(now, _METRICS, status) | more
        elif self._metrics is None and status >= 400:
            line |= self._measured(now, [_FAILED if status >= 500 else _REFUSED], status)
        write(line)

    def _measured(self, now: float, metrics: list[dict[str, str]], status: int) -> dict[str, Any]:
        directive = {"Namespace": NAMESPACE, "Dimensions": [["FunctionName"]], "Metrics": metrics}
        return {
            "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]},
            "FunctionName": self._function,
            "Errors": int(status >= 500),
            "Refusals": int(400 <= status < 500),
        }

    def event(self, level: str, message: str, request_id: str = "", **facts: Any) -> None:
        """A line about anything else."""
        write(_head(time.time(), level, request_id) | {"message": message} | facts)


def trace() -> str:
    """The exception being handled, its last part where it is long."""
    return traceback.format_exc()[-_TRACE_LIMIT:]


def stamp(now: float) -> str:
    """The time `now`, in seconds since 1970, as logs write it."""
    return f"{_second(int(now))}.{int(now % 1 * 1000):03d}Z"


def _head(now: float, level: str, request_id: str) -> dict[str, Any]:
    return {"timestamp": stamp(now), "level": level, "requestId": request_id}


@lru_cache(maxsize=1)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))


def write(line: dict[str, Any]) -> None:
    """Write one line."""
    sys.stdout.write(f"{_ENCODER.encode(line)}\n")
    sys.stdout.flush()
