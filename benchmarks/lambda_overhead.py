"""Lambda: what our entry adds to a bare awslambdaric handler, and its cold start with ONNX against torch.

Every process is AWS's own awslambdaric behind a Runtime API on loopback. Warm: the same events to our
entry and to a handler of a few lines that does the same ``session.run``, in turns. Cold: from starting
the process to its first answer, the same net exported to ONNX and as a torch program, in turns.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import alternate, verdict
from clouddeploy.model import Model
from tests.unit.runtime_function.runtime_api import Environment

ROOT = Path(__file__).resolve().parents[1]
BARE = """
import json

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession("model/{weights}", options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name


def predict(inputs):
    return session.run(None, {{name: np.array(inputs, dtype=np.float32)}})[0].tolist()


def handler(event, context):
    if "inputs" in event:
        return {{"predictions": predict(event["inputs"])}}
    body = json.dumps({{"predictions": predict(json.loads(event["body"])["inputs"])}})
    return {{"statusCode": 200, "headers": {{"content-type": "application/json"}}, "body": body}}
"""

HANDLER = """
from pathlib import Path

import numpy as np
import onnxruntime


session = None


def load(model_dir):
    global session
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = str(Path(model_dir) / "{weights}")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def predict(inputs):
    return session.run(None, {{session.get_inputs()[0].name: np.asarray(inputs, dtype=np.float32)}})[0]
"""


def digits_net() -> Any:
    """A net like the one that tells digits: images of 1x8x8 to 10 scores."""
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 8 * 8, 10),
    )


def lay_out(model: Model, folder: Path) -> Path:
    """`model` in a package that awslambdaric can run, without third parties' packages."""
    for name, files in (("model", model.files), ("app", model.code)):
        for file in files:
            target = folder / name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.path, target)
    (folder / "model" / "clouddeploy.json").write_text(json.dumps(model.manifest()))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        ROOT / "clouddeploy" / "runtime",
        folder / "clouddeploy" / "runtime",
        dirs_exist_ok=True,
        ignore=ignored,
    )
    shutil.copyfile(ROOT / "handlers" / "lambda_handler.py", folder / "lambda_handler.py")
    return folder


def with_handler(model: Model, folder: Path) -> Model:
    """The same weights, served by a handler of the user's, which therefore may run as long as it likes."""
    weights = folder / "weights"
    weights.mkdir()
    for file in model.files:
        shutil.copyfile(file.path, weights / file.name)
    handler = folder / "handler.py"
    handler.write_text(HANDLER.format(weights=model.weights))
    return Model.from_folder(weights, handler=handler, check=False)


@contextmanager
def packages() -> Iterator[tuple[dict[str, Path], list[Any]]]:
    """Folders of ``onnx``, ``torch``, ``handler`` (the user's own) and ``bare``, and a batch of inputs."""
    import torch

    example = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        as_torch = Model.from_torch(digits_net(), example_input=example, check=False)
        as_onnx = as_torch.to("onnx")
        found = {
            "onnx": lay_out(as_onnx, folder / "onnx"),
            "torch": lay_out(as_torch, folder / "torch"),
            "bare": lay_out(as_onnx, folder / "bare"),
            "handler": lay_out(with_handler(as_onnx, folder), folder / "handler"),
        }
        (found["bare"] / "lambda_handler.py").write_text(BARE.format(weights=as_onnx.weights))
        yield found, example.tolist()


def _timed(environment: Environment, payload: bytes) -> float:
    start = time.perf_counter()
    environment.send(payload)
    kind, body = environment.answer()
    took = time.perf_counter() - start
    if kind != "response":
        raise SystemExit(f"{kind}: {body!r}\n{environment.log.read_text()}")
    return took * 1e3


def warm(roots: dict[str, Path], inputs: list[Any], requests: int) -> None:
    """Print what our entry adds to the bare handler's median, for two kinds of event."""
    url = {
        "version": "2.0",
        "rawPath": "/",
        "headers": {"content-type": "application/json", "accept": "*/*", "host": "example.lambda-url"},
        "requestContext": {"http": {"method": "POST", "path": "/"}},
        "body": json.dumps({"inputs": inputs}),
        "isBase64Encoded": False,
    }
    events = {"function URL": json.dumps(url).encode(), "direct": json.dumps({"inputs": inputs}).encode()}
    with ExitStack() as stack:
        log = {name: roots[name].parent / f"{name}.log" for name in ("onnx", "handler", "bare")}
        running = {name: stack.enter_context(Environment(roots[name], log[name])) for name in log}
        for what, payload in events.items():
            for environment in running.values():
                for _ in range(50):
                    _timed(environment, payload)
            found = alternate(
                {name: (lambda e=e, p=payload: _timed(e, p)) for name, e in running.items()}, requests
            )
            print(
                f"{what}: medians of {requests}: "
                + ", ".join(f"{name} {ms:.3f} ms" for name, ms in found.items())
            )
            for name, whose in (("onnx", "our loader"), ("handler", "the user's handler")):
                added = found[name] - found["bare"]
                told = f"milliseconds that our entry adds ({what}, {whose})"
                verdict(told, added, "under 0.3 at the median", added < 0.3)


def cold(roots: dict[str, Path], inputs: list[Any], runs: int) -> None:
    """Print the ratio of the times from process start to first answer."""
    payload = json.dumps({"inputs": inputs}).encode()

    def start(name: str) -> float:
        began = time.perf_counter()
        with Environment(roots[name], roots[name].parent / "cold.log") as environment:
            _timed(environment, payload)
            return time.perf_counter() - began

    acts = {name: (lambda name=name: start(name)) for name in ("onnx", "torch")}
    for act in acts.values():  # reads the libraries from the disk once
        act()
    found = alternate(acts, runs)
    print(f"medians of {runs}: onnx {found['onnx']:.2f} s, torch {found['torch']:.2f} s")
    ratio = found["onnx"] / found["torch"]
    verdict("cold start of ONNX / torch", ratio, "at most 0.25", ratio <= 0.25)


def main(requests: int = 2000, runs: int = 5) -> None:
    """Run both."""
    with packages() as (roots, inputs):
        warm(roots, inputs, requests)
        cold(roots, inputs, runs)


if __name__ == "__main__":
    main()
