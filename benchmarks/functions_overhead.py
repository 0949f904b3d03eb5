"""Cloud Functions: what our entry adds to a bare functions-framework handler.

Both are Google's own functions-framework on loopback, in one environment: our entry, and a handler of a
few lines that does the same ``session.run``. The same requests go to both in turns, each over a
connection that is kept.
"""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.lambda_overhead import ROOT, digits_net, lay_out
from benchmarks.measure import alternate, verdict
from clouddeploy.model import Model
from tests.unit.runtime_cloud_function.framework import Serving, python_with

HEADERS = {"content-type": "application/json", "accept": "*/*"}
GOAL_MS = 0.5
BARE = """
import json

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession("model/{weights}", options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name


def predict(request):
    inputs = json.loads(request.get_data())["inputs"]
    found = session.run(None, {{name: np.array(inputs, dtype=np.float32)}})[0].tolist()
    return json.dumps({{"predictions": found}}), 200, {{"content-type": "application/json"}}
"""


def packages(folder: Path) -> tuple[dict[str, Path], list[Any]]:
    """Folders of ``ours`` and ``bare``, and a batch of inputs."""
    import torch

    example = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    model = Model.from_torch(digits_net(), example_input=example, check=False).to("onnx")
    found = {name: lay_out(model, folder / name) for name in ("ours", "bare")}
    shutil.copyfile(ROOT / "handlers" / "cloud_function.py", found["ours"] / "main.py")
    (found["bare"] / "main.py").write_text(BARE.format(weights=model.weights))
    return found, example.tolist()


def _timed(connection: http.client.HTTPConnection, body: bytes) -> float:
    start = time.perf_counter()
    connection.request("POST", "/", body, HEADERS)
    answer = connection.getresponse()
    found = answer.read()
    took = time.perf_counter() - start
    if answer.status != 200:
        raise SystemExit(f"{answer.status}: {found!r}")
    return took * 1e3


def main(requests: int = 2000) -> None:
    """Print what our entry adds to the bare handler's median, for one example and for a batch."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        roots, inputs = packages(folder)
        python = python_with(folder / "wanted", "numpy", "onnxruntime")
        variables = {"THREADS": "4", "CLOUD_RUN_TIMEOUT_SECONDS": "60", "GUNICORN_CMD_ARGS": ""}
        connections = {}
        for what, root in roots.items():
            serving = stack.enter_context(Serving(root, python, folder / f"{what}.log", **variables))
            connections[what] = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=30)
            stack.callback(connections[what].close)
        for count in (1, 32):
            body = json.dumps({"inputs": inputs * count}).encode()
            for connection in connections.values():
                for _ in range(50):
                    _timed(connection, body)
            acts = {what: partial(_timed, connection, body) for what, connection in connections.items()}
            found = alternate(dict(acts), requests)
            added = found["ours"] - found["bare"]
            print(f"{count} examples: medians of {requests}: {found}")
            verdict(
                f"milliseconds that our entry adds ({count} examples)",
                added,
                f"under {GOAL_MS} at the median",
                added < GOAL_MS,
            )


if __name__ == "__main__":
    main()
