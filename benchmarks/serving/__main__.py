"""``python -m benchmarks.serving``: our server beside its peers, and by itself.

Each peer is installed with pinned versions into an environment of its own under clouddeploy's cache folder,
once. Machines such as ours are paused by their host and used by others: compare ratios, not milliseconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import verdict
from benchmarks.serving import overload, recommending, report
from benchmarks.serving.comparing import Row, compare
from benchmarks.serving.forward import best_rate
from benchmarks.serving.models import WORKLOADS, Workload, ours, write_weights
from benchmarks.serving.servers import PEER_SERVERS, ROOT, Server, clouddeploy, npy

CASES = ("mlp", "resnet", "recommender", "overload")
FORMS = ("torch", "onnx")
STATIC = "clouddeploy, static answer"


def main(argv: list[str] | None = None) -> None:
    """Run the cases and print what they found."""
    args = _arguments(argv)
    found: dict[str, Any] = {"machine": report.machine()}
    print(f"machine: {found['machine']}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = write_weights(folder / "weights")
        for case in args.cases:
            print(f"\n== {case}", flush=True)
            if case == "overload":
                found[case] = overload.run(folder / "slow", args.seconds)
                continue
            models = {form: ours(case, form, folder / f"{case}-{form}") for form in args.forms}
            if case == "recommender":
                found[case] = recommending.run(models, weights, args.seconds)
            else:
                found[case] = _compared(WORKLOADS[case], models, weights, args)
    if args.json:
        report.write(Path(args.json), found)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    def listed(text: str) -> list[str]:
        return [word for word in text.split(",") if word]

    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    add = parser.add_argument
    add("--cases", type=listed, default=list(CASES), help=f"some of {','.join(CASES)} (default: all)")
    add("--peers", type=listed, default=[], help=f"some of {','.join(PEER_SERVERS)}, or all (default: none)")
    add("--forms", type=listed, default=list(FORMS), help="our model's forms (default: torch,onnx)")
    add("--runs", type=int, default=5, help="of which medians are taken (default: 5)")
    add("--seconds", type=float, default=4.0, help="of each run (default: 4)")
    add("--workers", type=int, help="of every server (default: 1 for mlp, 2 for resnet)")
    add("--json", metavar="FILE", help="write all figures there")
    args = parser.parse_args(argv)
    if args.peers == ["all"]:
        args.peers = list(PEER_SERVERS)
    for given, known in ((args.cases, CASES), (args.peers, tuple(PEER_SERVERS)), (args.forms, FORMS)):
        unknown = [word for word in given if word not in known]
        if unknown:
            parser.error(f"{unknown[0]!r} isn't one of {', '.join(known)}")
    return args


def _compared(
    workload: Workload, models: dict[str, Path], weights: Path, args: argparse.Namespace
) -> dict[str, Any]:
    workers = args.workers or (1 if workload.name == "mlp" else 2)
    servers = [
        Server(f"clouddeploy, {form}", clouddeploy(path), ready="/ready") for form, path in models.items()
    ]
    if workload.name == "mlp":
        first = next(iter(models.values()))
        servers.append(Server(STATIC, clouddeploy(first), path="/live", ready="/ready", method="GET"))
    else:
        for form, path in models.items():
            name, media = f"clouddeploy, {form}, npy", "application/x-npy"
            servers.append(Server(name, clouddeploy(path), ready="/ready", body=npy, content_type=media))
    servers += [server for peer in args.peers for server in PEER_SERVERS[peer]]
    rows, skipped = compare(
        servers,
        workload,
        workers=workers,
        runs=args.runs,
        seconds=args.seconds,
        weights=weights,
        tell=lambda text: print(text, flush=True),
    )
    print(
        f"\n{workers} worker(s), {workload.connections} connections, medians of {args.runs} runs in turns\n"
    )
    print(report.table(rows, skipped) + "\n", flush=True)
    report.ratios([row for row in rows if row.name != STATIC], workload.name)
    return {
        "workers": workers,
        "rows": rows,
        "skipped": skipped,
        "forward_per_s": _own_limits(workload, models, rows, workers, args.runs),
    }


def _own_limits(
    workload: Workload, models: dict[str, Path], rows: list[Row], workers: int, runs: int
) -> dict[str, float]:
    """Our rate beside a static answer's, or beside the model's own best."""
    by_name = {row.name: row for row in rows}
    if STATIC in by_name and "clouddeploy, torch" in by_name:
        share = by_name["clouddeploy, torch"].per_s / by_name[STATIC].per_s
        verdict("requests/s, of a static answer's", share, "at least 0.5", share >= 0.5)
    if workload.name == "mlp":
        return {}
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "CLOUDDEPLOY_THREADS": "1", "PYTHONPATH": str(ROOT)}
    found = {}
    for form, path in models.items():
        rates = [best_rate(workload.name, path, workers, environ) for _ in range(runs)]
        found[form] = statistics.median(rates)
        print(f"forward, {form}: {found[form]:,.0f} a second at its best batch size, median of {runs}")
        for kind, goal in (("", 0.75), (", npy", 0.9)):
            row = by_name.get(f"clouddeploy, {form}{kind}")
            if row is not None:
                share = row.per_s / found[form]
                verdict(f"{row.name}: of the forward rate", share, f"at least {goal}", share >= goal)
    return found


if __name__ == "__main__":
    main()
