"""The lines that Lambda itself writes into a function's log, as text or JSON.

"Working with Lambda function logs" and "Log and event monitoring: JSON log format" (Lambda Developer
Guide).
"""

from __future__ import annotations

import json
import math
import time
from typing import Any


def _now() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"


class Report:
    """Writes the platform's lines of one function version.

    Args:
        as_json: the function's LoggingConfig asks for JSON.
        runtime: such as ``python3.13``.
        version: the function's version.
        memory_mb: its memory.
    """

    def __init__(self, *, as_json: bool, runtime: str, version: str, memory_mb: int) -> None:
        self._json, self._runtime, self._version, self._memory = as_json, runtime, version, memory_mb

    def _record(self, kind: str, **record: Any) -> list[str]:
        return [json.dumps({"time": _now(), "type": f"platform.{kind}", "record": record})]

    def init_start(self) -> list[str]:
        """A process is being started; of an image's runtime Lambda knows no version."""
        if not self._runtime:
            return []
        runtime = f"python:{self._runtime.removeprefix('python')}"
        if self._json:
            return self._record("initStart", initializationType="on-demand", runtimeVersion=runtime)
        return [f"INIT_START Runtime Version: {runtime}.emulated\tRuntime Version ARN: none"]

    def init_report(self, seconds: float, phase: str, status: str, kind: str) -> list[str]:
        """An initialisation failed or took too long."""
        if self._json:
            metrics = {"durationMs": round(seconds * 1000, 2)}
            return self._record("initReport", phase=phase, status=status, errorType=kind, metrics=metrics)
        error = f"\tError Type: {kind}" if status == "error" else ""
        return [
            f"INIT_REPORT Init Duration: {seconds * 1000:.2f} ms\tPhase: {phase}\tStatus: {status}{error}"
        ]

    def start(self, request_id: str) -> list[str]:
        """An invocation begins."""
        if self._json:
            return self._record("start", requestId=request_id, version=self._version)
        return [f"START RequestId: {request_id} Version: {self._version}"]

    def end(
        self, request_id: str, seconds: float, peak_mb: int, init_s: float, status: str = "", kind: str = ""
    ) -> list[str]:
        """An invocation ended; `status` when the platform ended it."""
        milliseconds = seconds * 1000
        billed = math.ceil(milliseconds) or 1
        if self._json:
            metrics: dict[str, Any] = {
                "durationMs": round(milliseconds, 3), "billedDurationMs": billed,
                "memorySizeMB": self._memory, "maxMemoryUsedMB": peak_mb,
            }  # fmt: skip
            if init_s:
                metrics["initDurationMs"] = round(init_s * 1000, 3)
            return self._record("report", requestId=request_id, status=status or "success", metrics=metrics)
        line = (
            f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms\tBilled Duration: {billed} ms\t"
            f"Memory Size: {self._memory} MB\tMax Memory Used: {peak_mb} MB\t"
        )
        line += f"Init Duration: {init_s * 1000:.2f} ms\t" if init_s else ""
        line += f"Status: {status}\t" if status else ""
        line += f"Error Type: {kind}\t" if kind else ""
        return [f"END RequestId: {request_id}", line]

    def timed_out(self, request_id: str, seconds: float) -> list[str]:
        """The invocation took longer than the function's timeout."""
        return [f"{_now()} {request_id} Task timed out after {seconds:.2f} seconds"]
