"""What a function writes to its log: a JSON object a line, as Cloud Logging parses them.

``severity``, ``message``, ``time``, ``logging.googleapis.com/trace``, ``…/spanId`` and ``…/trace_sampled``
are the fields that it takes out of a line ("Structured logging", special JSON fields); a trace is named
with its project, so without a known project it stays a field of the line. ``stack_trace`` is where Error
Reporting looks ("Format errors in the logs").
"""

from __future__ import annotations

import time
from typing import Any

from clouddeploy.runtime.cloud_function.tracing import Trace
from clouddeploy.runtime.function.journal import stamp, write

_SEVERITY = {"INFO": "INFO", "WARN": "WARNING", "ERROR": "ERROR"}
_FIELD = "logging.googleapis.com/"


class Journal:
    """Writes the lines of one function.

    Args:
        project: the id of the project that traces are kept in; empty where unknown.
        release: which release writes them; empty where unknown.
    """

    def __init__(self, project: str = "", release: str = "") -> None:
        self._project = project
        self._release = release

    def request(
        self, request_id: str, status: int, ms: float, caller: Trace | None = None, **facts: Any
    ) -> None:
        """One request's line; ``batch`` in `facts` counts its examples, ``trace`` is a failure's stack."""
        level = "ERROR" if status >= 500 else "WARN" if status >= 400 else "INFO"
        message = f"{facts.get('kind', 'request')} answered {status} in {ms:.1f} ms"
        if "error" in facts:
            message += f": {facts['error']['code']}: {facts['error']['message']}"
        self._line(level, message, request_id, caller, {"status": status, "ms": round(ms, 3)} | facts)

    def event(self, level: str, message: str, request_id: str = "", **facts: Any) -> None:
        """A line about anything else."""
        self._line(level, message, request_id, None, facts)

    def _line(
        self, level: str, message: str, request_id: str, caller: Trace | None, facts: dict[str, Any]
    ) -> None:
        line: dict[str, Any] = {
            "severity": _SEVERITY[level],
            "message": message,
            "time": stamp(time.time()),
        }
        if request_id:
            line["requestId"] = request_id
        if self._release:
            line["release"] = self._release
        if caller is not None:
            line |= self._traced(caller)
        if "trace" in facts:
            line["stack_trace"] = facts.pop("trace")
        write(line | facts)

    def _traced(self, trace: Trace) -> dict[str, Any]:
        if not self._project:
            return {"traceId": trace.id}
        found: dict[str, Any] = {
            f"{_FIELD}trace": f"projects/{self._project}/traces/{trace.id}",
            f"{_FIELD}trace_sampled": trace.sampled,
        }
        if trace.span:
            found[f"{_FIELD}spanId"] = trace.span
        return found
