"""Servers beside one another: in turns, each started anew for every run; medians of the runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving.driving import CannotMeasure, Figures, drive
from benchmarks.serving.environments import CannotInstall
from benchmarks.serving.models import Workload
from benchmarks.serving.running import DidNotStart, Running, serving
from benchmarks.serving.servers import Server

WARM_S = 1.0


@dataclass(frozen=True)
class Row:
    """Medians of one server.

    Args:
        name: of the server.
        p50_ms: median latency with all connections.
        p99_ms: of the same runs.
        per_s: good answers a second with all connections.
        p50_one_ms: median latency with one connection.
        rss_mb: memory of all its processes under load.
        start_s: from its command to its first good answer.
        errors: answers that were none, in all runs.
        runs: how many.
    """

    name: str
    p50_ms: float
    p99_ms: float
    per_s: float
    p50_one_ms: float
    rss_mb: float
    start_s: float
    errors: int
    runs: int


@dataclass(frozen=True)
class Skipped:
    """A server that couldn't be measured, and why."""

    name: str
    reason: str


def compare(
    servers: Sequence[Server],
    workload: Workload,
    *,
    workers: int,
    runs: int,
    seconds: float,
    weights: Path,
    tell: Callable[[str], None],
) -> tuple[list[Row], list[Skipped]]:
    """Measure each server `runs` times, A B C … A B C ….

    Args:
        seconds: of each run with all connections; with one connection half as long.
        weights: folder of the peers' weights.
        tell: hears each run's figures.
    """
    found: dict[str, list[dict[str, Any]]] = {server.name: [] for server in servers}
    skipped: dict[str, Skipped] = {}
    for number in range(1, runs + 1):
        for server in servers:
            if server.name in skipped:
                continue
            try:
                with serving(server, workload, workers, weights) as running:
                    run = measured(running, workload, seconds)
            except (CannotInstall, CannotMeasure, DidNotStart) as error:
                skipped[server.name] = Skipped(server.name, " ".join(str(error).split())[:400])
                tell(f"skipped {server.name}: {skipped[server.name].reason}")
                continue
            found[server.name].append(run)
            tell(f"run {number} {server.name}: " + ", ".join(f"{k} {v:.4g}" for k, v in run.items()))
    return [_median(name, rows) for name, rows in found.items() if rows], list(skipped.values())


def measured(running: Running, workload: Workload, seconds: float) -> dict[str, Any]:
    """One run."""
    server = running.server
    body = b"" if server.method == "GET" else server.body(workload)

    def load(connections: int, length: float) -> Figures:
        return drive(running.url, body, server.content_type, connections=connections, seconds=length)

    load(workload.connections, WARM_S)
    many = load(workload.connections, seconds)
    rss_mb = running.rss_mb()
    one = load(1, max(1.0, seconds / 2))
    return {
        **asdict(many),
        "errors": many.errors + one.errors,
        "p50_one_ms": one.p50_ms,
        "rss_mb": rss_mb,
        "start_s": running.start_s,
    }


def _median(name: str, rows: Iterable[dict[str, Any]]) -> Row:
    kept = list(rows)
    middle = {key: statistics.median(row[key] for row in kept) for key in kept[0] if key != "errors"}
    return Row(name=name, errors=sum(row["errors"] for row in kept), runs=len(kept), **middle)
