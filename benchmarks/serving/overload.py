"""Ten times more than the server can do, and the second after it.

The model waits 20 ms for each batch of at most eight, as one on an accelerator does, so that its capacity
(400 a second) is known and the generator, on the same cores, can send ten times as much.
"""

from __future__ import annotations

import http.client
import statistics
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import verdict
from benchmarks.serving.models import WORKLOADS, write_folder
from benchmarks.serving.running import serving
from benchmarks.serving.servers import Server, clouddeploy
from clouddeploy.bench import BenchResult, Load, measure

BATCH, BATCH_S = 8, 0.02
HANDLER = f'''"""Waits as long as an accelerator would compute."""

import time

import numpy as np


class Handler:
    def load(self, model_dir):
        return None

    def predict(self, inputs):
        time.sleep({BATCH_S})
        return np.asarray(inputs, dtype=np.float32) * 2
'''


def slow_model(folder: Path) -> Path:
    """A folder to serve, with the model that waits."""
    from clouddeploy.model import Model

    (folder / "files").mkdir(parents=True, exist_ok=True)
    (folder / "files" / "none.json").write_text("{}")
    (folder / "handler.py").write_text(HANDLER)
    return write_folder(Model.from_folder(folder / "files", handler=folder / "handler.py"), folder / "served")


def run(folder: Path, seconds: float) -> dict[str, Any]:
    """At capacity, at ten times that, and just after; prints whether the goals are reached."""
    server = Server("clouddeploy", clouddeploy(slow_model(folder), max_batch=BATCH))
    with serving(server, WORKLOADS["mlp"], 1, folder) as running:
        capacity = _load(running.url, None, 2 * BATCH, seconds)
        with Health(running.port) as health:
            flood = _load(running.url, 10 * capacity.answered, 1000, seconds)
        after = _load(running.url, 0.9 * capacity.answered, 1000, seconds, warm_up_s=1.0)
    return _told(capacity, flood, after, health.worst_ms())


def _load(
    url: str, rate: float | None, connections: int, seconds: float, warm_up_s: float = 0.5
) -> BenchResult:
    load = Load(
        url=url,
        rate=rate,
        connections=connections,
        duration_s=seconds,
        warm_up_s=warm_up_s,
        headers={"content-type": "application/json"},
        body=b'{"inputs":[[1,2,3,4]]}',
    )
    found = measure(load, probe=False)
    print(found, flush=True)
    return found


def _told(capacity: BenchResult, flood: BenchResult, after: BenchResult, health_ms: float) -> dict[str, Any]:
    kept = flood.answered / capacity.answered
    verdict("throughput at ten times capacity, of that at capacity", kept, "at least 0.95", kept >= 0.95)
    late = flood.quantile_ms(0.99) / capacity.quantile_ms(0.99)
    verdict("p99 of the admitted, of that at capacity", late, "at most 3", late <= 3)
    refused_ms = flood.refusals.quantile(0.99) * 1e3
    verdict("milliseconds to a refusal at p99", refused_ms, "at most 10", refused_ms <= 10)
    lost = sum(flood.failures.values())
    verdict("requests neither answered nor refused", lost, "0", lost == 0)
    good = after.latency.count / max(after.sent, 1)
    verdict("good answers from a second after the flood on, at 0.9 of capacity", good, "1", good == 1)
    print(f"GET /live during the flood: {health_ms:.1f} ms at the worst")
    names = {"capacity": capacity, "flood": flood, "after": after}
    return {"health_worst_ms": health_ms, **{name: found.as_dict() for name, found in names.items()}}


class Health:
    """Asks whether the server lives, twenty times a second, until it is left.

    Args:
        port: of the server.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._took_ms: list[float] = []
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._over.wait(0.05):
            began = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            connection.request("GET", "/live")
            connection.getresponse().read()
            connection.close()
            self._took_ms.append((time.perf_counter() - began) * 1e3)

    def worst_ms(self) -> float:
        """The longest answer; NaN when there was none."""
        return max(self._took_ms, default=statistics.fmean([float("nan")]))

    def __enter__(self) -> Health:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
