"""What the server can be told: every figure, with its default."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from clouddeploy.errors import SpecError


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSettings:
    """How the server behaves.

    Args:
        host: address that it listens on; only this machine's own unless told otherwise.
        port: 0 lets the operating system choose.
        workers: processes that answer requests.
        threads: threads of one prediction in a worker; 0 divides the cores among the workers.
        max_batch: examples that one call of the model gets at the most.
        max_delay_ms: milliseconds that an idle model waits for more requests; 0 waits for none.
        queue: examples that may wait for one model in one worker; what comes on top is refused.
        body_limit: bytes of a request's body.
        head_limit: bytes of a request's first line and headers.
        head_timeout_s: seconds in which a request's head must arrive; its body has these too, and one
            more for every `slowest_bytes_per_s` bytes of it.
        slowest_bytes_per_s: bytes a second below which a client that sends a body is cut off.
        idle_timeout_s: seconds that a connection without a request is kept.
        drain_s: seconds that requests under way get to finish when the server stops.
        max_connections: connections that one worker holds; more wait to be accepted.
        models: folder of one model, or of many as ``<model>/<version>/``.
        name: the model's name when `models` is one model.
        run_folder: where the workers of one server meet; made by the supervisor.
        access_log: write a line for each request to standard error.
        metrics: count and time requests, and answer ``/metrics``.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    threads: int = 0
    max_batch: int = 32
    max_delay_ms: float = 0
    queue: int = 512
    body_limit: int = 64 << 20
    head_limit: int = 32 << 10
    head_timeout_s: float = 10
    slowest_bytes_per_s: float = 1000
    idle_timeout_s: float = 75
    drain_s: float = 30
    max_connections: int = 20_000
    models: Path = Path()
    name: str = "model"
    run_folder: Path = Path()
    access_log: bool = False
    metrics: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in ("int", "float") and not (
                isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            ):
                raise SpecError(
                    f"ServerSettings.{field.name} is {value!r}", why="allowed: 0 or more", fix="correct it"
                )
        for name in ("workers", "max_batch", "queue", "max_connections", "slowest_bytes_per_s"):
            if getattr(self, name) < 1:
                raise SpecError(
                    f"ServerSettings.{name} is {getattr(self, name)!r}",
                    why="allowed: 1 or more",
                    fix="correct it",
                )

    def changed(self, values: dict[str, Any]) -> ServerSettings:
        """These settings with some changed.

        Raises:
            SpecError: one is unknown or out of range.
        """
        known = {field.name: field.type for field in fields(self)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise SpecError(
                f"the server has no setting {unknown[0]!r}",
                why=f"settings: {', '.join(known)}",
                fix="correct the name",
            )
        wanted: dict[str, Any] = {k: Path(v) if known[k] == "Path" else v for k, v in values.items()}
        return replace(self, **wanted)
