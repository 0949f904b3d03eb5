"""``python -m benchmarks.serving.observing``: what ``/metrics`` and the access log cost the smallest model.

Real servers, one of each kind, all running at once and loaded in turns: what disturbs the machine for longer
than a turn disturbs all of them. The rate of wrk's requests and the server's own processor time for each
request are told as medians, and as the median of the ratios within each round: the goal is about those.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import verdict
from benchmarks.serving.driving import drive
from benchmarks.serving.models import WORKLOADS, ours
from benchmarks.serving.running import Running, descendants, serving
from benchmarks.serving.servers import Server, clouddeploy, wire

GOAL = 0.03
OFF, METRICS, ALL = "off", "metrics", "metrics and access log"
AGAIN = "off, once more"
"""The same as `OFF`: how far apart equal servers are tells what a ratio is worth."""


@dataclass(frozen=True)
class Turn:
    """One turn of one server.

    Args:
        per_s: requests a second.
        cpu_us: microseconds of processor time for each request, of all the server's processes.
    """

    per_s: float
    cpu_us: float


def main(argv: list[str] | None = None) -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.observing", description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=15, help="rounds, of which medians are taken (default: 15)"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn (default: 2)")
    parser.add_argument("--connections", type=int, default=32, help="that send requests (default: 32)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        model = ours("mlp", "onnx", folder / "mlp")
        log = {"access_log": True, "access_log_file": str(folder / "access.log")}
        kinds: dict[str, Mapping[str, Any]] = {
            OFF: {"metrics": False},
            METRICS: {},
            ALL: log,
            AGAIN: {"metrics": False},
        }
        running: dict[str, Running] = {}
        for kind, settings in kinds.items():
            server = Server(kind, clouddeploy(model, **settings), ready="/ready")
            running[kind] = stack.enter_context(serving(server, WORKLOADS["mlp"], 1, folder))
        turns: dict[str, list[Turn]] = {kind: [] for kind in kinds}
        for number in range(-1, args.runs):
            order = list(kinds) if number % 2 else list(reversed(kinds))
            for kind in order:
                turn = _turn(running[kind], args.connections, args.seconds)
                if number >= 0:  # the first round warms up
                    turns[kind].append(turn)
            (folder / "access.log").write_bytes(b"")
    _tell(turns)


def _turn(running: Running, connections: int, seconds: float) -> Turn:
    body = wire(WORKLOADS["mlp"])
    before = _cpu_s(running)
    found = drive(running.url, body, "application/json", connections=connections, seconds=seconds)
    count = found.per_s * max(1, round(seconds))
    return Turn(found.per_s, (_cpu_s(running) - before) / count * 1e6)


def _cpu_s(running: Running) -> float:
    """Seconds of processor time that the server's processes have used (proc(5): utime and stime)."""
    ticks = 0
    for pid in descendants(running.process.pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _tell(turns: dict[str, list[Turn]]) -> None:
    rounds = len(turns[OFF])
    print(
        f"medians of {rounds} rounds in turns; ratios are within a round, beside the server without either\n"
    )
    for kind, found in turns.items():
        per_s = statistics.median(turn.per_s for turn in found)
        cpu_us = statistics.median(turn.cpu_us for turn in found)
        pairs = list(zip(found, turns[OFF], strict=True))
        rate = statistics.median(turn.per_s / off.per_s for turn, off in pairs)
        cpu = statistics.median(turn.cpu_us / off.cpu_us for turn, off in pairs)
        print(f"{kind:24} {per_s:9,.0f}/s ({rate:.3f})  {cpu_us:6.2f} µs of CPU a request ({cpu:.3f})")
    print()
    for kind in (METRICS, ALL):
        # Both servers without either are the measure: the noise of one is halved.
        bare = [(a.per_s + b.per_s) / 2 for a, b in zip(turns[OFF], turns[AGAIN], strict=True)]
        lost = 1 - statistics.median(
            turn.per_s / per_s for turn, per_s in zip(turns[kind], bare, strict=True)
        )
        verdict(f"share of the rate that {kind} cost", lost, f"at most {GOAL}", lost <= GOAL)


if __name__ == "__main__":
    main()
