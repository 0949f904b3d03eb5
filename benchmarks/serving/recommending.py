"""A recommender-sized model: 100 candidates a request, 10,000 recommendations a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.measure import verdict
from benchmarks.serving.models import CANDIDATES, WORKLOADS
from benchmarks.serving.running import serving
from benchmarks.serving.servers import Server, clouddeploy, npy, wire
from clouddeploy.bench import Load, measure

PER_S = 10_000
GOAL_MS = 10.0


def run(models: dict[str, Path], weights: Path, seconds: float) -> dict[str, Any]:
    """Print p99 for each form of the model and of the body; the goal is 10 ms with two workers."""
    workload = WORKLOADS["recommender"]
    found = {}
    for form, folder in models.items():
        server = Server(f"clouddeploy, {form}", clouddeploy(folder))
        with serving(server, workload, 2, weights) as running:
            for kind, body, media in (("JSON", wire, "application/json"), ("npy", npy, "application/x-npy")):
                load = Load(
                    url=running.url,
                    rate=PER_S / CANDIDATES,
                    arrivals="poisson",
                    duration_s=seconds,
                    headers={"content-type": media, "accept": media},
                    body=body(workload),
                )
                result = measure(load)
                name = f"{form}, {kind}"
                print(f"{name}: {result}", flush=True)
                p99 = result.quantile_ms(0.99)
                good = p99 < GOAL_MS and not result.errors
                verdict(f"p99 in ms at {PER_S:,} recommendations/s ({name})", p99, "under 10", good)
                found[name] = result.as_dict()
    return found
