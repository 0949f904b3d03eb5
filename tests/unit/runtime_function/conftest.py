"""A function's package as the packager lays it out, and events as AWS makes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime.function import Function, start

ROOT = Path(__file__).resolve().parents[3]
MakePackage = Callable[..., Path]
DOUBLE = """
import numpy as np

def load(model_dir):
    global weights
    weights = np.load(model_dir / "weights.npy")

def predict(inputs):
    return inputs @ weights
"""
SIGNATURE = {"inputs": [{"name": "x", "dtype": "float32", "shape": [None, 2]}], "outputs": []}


def lay_out(
    folder: Path, handler: str | None = DOUBLE, *, runtime: bool = False, model: str = "model", **facts: Any
) -> Path:
    """A package in `folder`: a numpy model that doubles two numbers, unless `handler` is another.

    Args:
        folder: where; made.
        handler: the user's code; None has none.
        runtime: whether to copy our runtime and the entry too, as a process of its own needs it.
        model: name of the model's folder.
        facts: more for the manifest.
    """
    (folder / "app").mkdir(parents=True)
    (folder / model).mkdir()
    np.save(folder / model / "weights.npy", np.eye(2, dtype=np.float32) * 2)
    manifest = {"version": 1, "model": "a" * 64, "format": "files", "handler": None, "weights": None}
    if handler is not None:
        (folder / "app" / "handler.py").write_text(handler)
        manifest["handler"] = "handler.py"
    (folder / model / "clouddeploy.json").write_text(json.dumps(manifest | {"signature": SIGNATURE} | facts))
    if runtime:
        shutil.copytree(
            ROOT / "clouddeploy" / "runtime",
            folder / "clouddeploy" / "runtime",
            ignore=shutil.ignore_patterns("*.pyc", "__pycache__"),
        )
        shutil.copyfile(ROOT / "handlers" / "lambda_handler.py", folder / "lambda_handler.py")
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Iterator[MakePackage]:
    """Lays out packages in folders of their own."""
    made: list[Path] = []

    def make(handler: str | None = DOUBLE, **options: Any) -> Path:
        made.append(tmp_path / f"package-{len(made)}")
        return lay_out(made[-1], handler, **options)

    with kept_path():
        yield make


class kept_path:
    """Puts ``sys.path`` back, which a serving process leaves as the model's code needs it."""

    def __enter__(self) -> None:
        import sys

        self._before = list(sys.path)

    def __exit__(self, *_: object) -> None:
        import sys

        sys.path[:] = self._before


@pytest.fixture
def function(package: MakePackage) -> Function:
    """The doubling model as a function."""
    return start(package(), {})


class Context:
    """What awslambdaric hands over, with `remaining_s` left."""

    def __init__(self, remaining_s: float = 30.0, request_id: str = "r-1") -> None:
        self.aws_request_id = request_id
        self._remaining_s = remaining_s

    def get_remaining_time_in_millis(self) -> int:
        """As the real one."""
        return int(self._remaining_s * 1000)


def rest(
    body: Any = '{"inputs":[[1,2]]}', method: str = "POST", path: str = "/predict", **more: Any
) -> dict[str, Any]:
    """A REST API's event (payload 1.0)."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {"Content-Type": "application/json", "Accept": "*/*"},
        "multiValueHeaders": {"Content-Type": ["application/json"], "Accept": ["*/*"]},
        "queryStringParameters": {"x": "1"},
        "requestContext": {"stage": "prod", "requestId": "gateway"},
        "body": body,
        "isBase64Encoded": False,
    } | more


def http(
    body: Any = '{"inputs":[[1,2]]}', method: str = "POST", path: str = "/predict", **more: Any
) -> dict[str, Any]:
    """An HTTP API's or a function URL's event (payload 2.0)."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "x=1",
        "headers": {"content-type": "application/json", "accept": "*/*"},
        "requestContext": {"http": {"method": method, "path": path, "sourceIp": "192.0.2.1"}},
        "body": body,
        "isBase64Encoded": False,
    } | more


def sqs(*bodies: Any, fifo: bool = False, **more: Any) -> dict[str, Any]:
    """A batch of messages m0, m1, …"""
    arn = f"arn:aws:sqs:eu-west-1:123456789012:jobs{'.fifo' if fifo else ''}"
    return {
        "Records": [
            {
                "messageId": f"m{i}",
                "body": body,
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
            }
            | more
            for i, body in enumerate(bodies)
        ]
    }
