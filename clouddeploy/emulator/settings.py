"""How the embedded cloud behaves: times, limits and where it keeps things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from clouddeploy.emulator.google.settings import GoogleSettings
from clouddeploy.errors import SpecError

ACCOUNT = "123456789012"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Every figure that can be set, from Python, the command line or the admin path.

    Args:
        creating_s: seconds that a new endpoint stays ``Creating`` at least.
        updating_s: seconds that an endpoint stays ``Updating`` at least.
        rolling_back_s: seconds that a failed update stays ``RollingBack``.
        deleting_s: seconds that an endpoint stays ``Deleting``.
        settle_s: seconds that DescribeEndpoint waits at most for a change under way to end before
            it answers, so that a client which polls without pause doesn't spin.
        role_ready_after_s: age in seconds from which a new role can be assumed.
        role_ready_after_calls: so many calls of CreateModel with a new role are refused first.
        startup_timeout_s: seconds that a container may take to answer its first ping, unless the
            endpoint config says otherwise.
        request_timeout_s: seconds that a container may take to answer an invocation (InvokeEndpoint,
            SageMaker Runtime API Reference: within 60 seconds).
        request_limit: bytes of an invocation's body (InvokeEndpoint: 6291456).
        serverless_request_limit: the same for a serverless variant (Serverless Inference,
            "Feature limits": 4 MB).
        idle_stop_s: seconds without a request after which a container's process is ended.
        keep_unused_s: seconds that a process lives on after the last endpoint or function that used it is
            gone, for the next one of the same content.
        max_processes: containers alive at once; the longest idle one makes room.
        function_creating_s: seconds that a new function stays ``Pending``.
        function_updating_s: seconds that an update of a function stays ``InProgress``.
        function_init_s: seconds that a function's initialisation may take before it is begun anew
            ("Lambda execution environment lifecycle", Lambda Developer Guide: 10).
        function_concurrency: executions at once that the account may have in a region ("Lambda quotas",
            Lambda Developer Guide: 1000).
        function_retry_s: seconds before an asynchronous event is tried again ("How Lambda handles errors
            and retries with asynchronous invocation": a minute; shorter here).
        max_function_processes: functions' processes alive at once on this machine; an event waits for room.
        google: those of the embedded Google Cloud; `keep_unused_s`, `idle_stop_s`, `settle_s` and
            `max_processes` hold there too.
    """

    creating_s: float = 0
    updating_s: float = 0
    rolling_back_s: float = 0
    deleting_s: float = 0
    settle_s: float = 0.2
    role_ready_after_s: float = 0
    role_ready_after_calls: int = 0
    startup_timeout_s: float = 600
    request_timeout_s: float = 60
    request_limit: int = 6_291_456
    serverless_request_limit: int = 4_194_304
    idle_stop_s: float = 60
    keep_unused_s: float = 0
    max_processes: int = 4
    function_creating_s: float = 0
    function_updating_s: float = 0
    function_init_s: float = 10
    function_concurrency: int = 1000
    function_retry_s: float = 0.2
    max_function_processes: int = 32
    google: GoogleSettings = field(default_factory=GoogleSettings)

    def __post_init__(self) -> None:
        for known in fields(self):
            value = getattr(self, known.name)
            if known.name == "google":
                continue
            whole = known.type == "int"
            least = 1 if known.name in ("max_processes", "max_function_processes") else 0
            good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
            if not good or value < least:
                raise SpecError(
                    f"Settings.{known.name} is {value!r}",
                    why=f"allowed: a {'whole ' if whole else ''}number, {least} or more",
                    fix=f"give {known.name} such a number",
                )

    def changed(self, values: Mapping[str, Any]) -> Settings:
        """These settings with some of them changed; ``google`` may be a mapping of some of its own.

        Raises:
            SpecError: one is unknown or out of range.
        """
        unknown = sorted(set(values) - {f.name for f in fields(self)})
        if unknown:
            known = ", ".join(f.name for f in fields(self))
            raise SpecError(f"Settings has no {unknown[0]!r}", why=f"known: {known}", fix="use one of them")
        google = values.get("google")
        if isinstance(google, Mapping):
            values = {**values, "google": self.google.changed(google)}
        return replace(self, **values)
