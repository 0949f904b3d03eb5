"""The figures as Markdown and JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measure import verdict
from benchmarks.serving.comparing import Row, Skipped

OURS = "clouddeploy"
COLUMNS = ("server", "p50 ms", "p99 ms", "requests/s", "p50 ms, 1 connection", "MB", "start s")


def table(rows: Sequence[Row], skipped: Sequence[Skipped]) -> str:
    """A Markdown table, the quickest first."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in sorted(rows, key=lambda row: row.p50_ms):
        numbers = (row.p50_ms, row.p99_ms, row.per_s, row.p50_one_ms, row.rss_mb, row.start_s)
        shown = [f"{n:,.0f}" if n >= 100 else f"{n:.3g}" for n in numbers]
        name = f"{row.name} ({row.errors} errors)" if row.errors else row.name
        lines.append(f"| {' | '.join([name, *shown])} |")
    lines += [f"\nskipped: {one.name}: {one.reason}" for one in skipped]
    return "\n".join(lines)


def ratios(rows: Sequence[Row], workload: str) -> None:
    """Print the goals of the issue for the form in torch, the peers' own framework."""
    ours = next((row for row in rows if row.name == f"{OURS}, torch"), None)
    if ours is None:
        return
    for peer in (row for row in rows if not row.name.startswith(OURS)):
        if workload == "mlp":
            goal = 5 if peer.name.startswith("TorchServe") else 20
            ratio = peer.p50_ms / ours.p50_ms
            verdict(f"median latency of {peer.name}, of ours", ratio, f"at least {goal}", ratio >= goal)
            one = peer.p50_one_ms / ours.p50_one_ms
            verdict(f"the same at one connection: {peer.name}", one, "above 1", one > 1)
        else:
            ratio = ours.per_s / peer.per_s
            verdict(f"our throughput, of that of {peer.name}", ratio, "at least 4", ratio >= 4)


def machine() -> dict[str, Any]:
    """What the figures were made on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_before": os.getloadavg(),
    }


def write(path: Path, found: dict[str, Any]) -> None:
    """Write the JSON document."""
    path.write_text(json.dumps(found, indent=2, default=_plain) + "\n", "utf-8")


def _plain(value: Any) -> Any:
    return asdict(value)
