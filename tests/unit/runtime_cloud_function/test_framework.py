"""The entry under Google's own functions-framework, which forks after importing it."""

from __future__ import annotations

import base64
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.runtime.cloud_function.events import PUBSUB
from tests.unit.runtime_cloud_function.framework import Serving, python_with
from tests.unit.runtime_function.conftest import DOUBLE, ROOT, lay_out

JSON = "application/json"
INPUT, OUTPUT = b'{"inputs":[[1,2]]}', b'{"predictions":[[2.0,4.0]]}'
TORCH = """
import os
import torch

def work():
    return torch.rand(600, 600) @ torch.rand(600, 600)

work()  # what hangs the first prediction where threads were started before the fork

def load(model_dir):
    work()

def predict(inputs):
    work()
    return [[torch.get_num_threads(), os.getpid()]] * len(inputs)
"""


HANGS_ONCE = """
import os, time

def predict(inputs):
    if not os.path.exists(os.environ["FLAG"]):
        open(os.environ["FLAG"], "w").close()
        time.sleep(600)
    return [os.getpid()] * len(inputs)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("numpy"), "numpy")


@pytest.fixture(scope="module")
def python_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("torch"), "numpy", "torch")


def package(folder: Path, handler: str = DOUBLE, **facts: Any) -> Path:
    root = lay_out(folder / "package", handler, runtime=True, **facts)
    (root / "lambda_handler.py").unlink()
    shutil.copyfile(ROOT / "handlers" / "cloud_function.py", root / "main.py")
    return root


def told(serving: Serving) -> list[dict[str, Any]]:
    return [json.loads(line) for line in serving.log.read_text().splitlines() if line.startswith("{")]


def test_requests_over_http_are_answered(tmp_path: Path, python: Path) -> None:
    with Serving(package(tmp_path), python, tmp_path / "log", THREADS="4") as serving:
        status, body, headers = serving.call(INPUT, content_type=JSON)
        assert (status, body, headers["content-type"]) == (200, OUTPUT, JSON)
        assert headers["x-clouddeploy-model"] == "a" * 64
        assert serving.call(b"", "/health", "GET")[:2] == (200, b'{"status":"ok"}')
        assert serving.call(b"", "/ping", "HEAD")[:2] == (200, b"")
        assert serving.call(b"", "/", "OPTIONS")[0] == 405
        assert serving.call(b"{", content_type=JSON)[0] == 400
        large = serving.call(b" " * (33 * 2**20), content_type=JSON)
        assert (large[0], json.loads(large[1])["error"]["code"]) == (413, "too_large")
        assert serving.call(b" " * (11 * 2**20), content_type=JSON)[0] == 400
    last = next(line for line in told(serving) if line.get("status") == 200)
    assert last["requestId"] == headers["x-request-id"]


def test_cloud_events_are_taken(tmp_path: Path, python: Path) -> None:
    def event(body: bytes) -> bytes:
        message = {"data": base64.b64encode(body).decode(), "messageId": "m1"}
        return json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()

    kind = {"ce_id": "e1", "ce_source": "//pubsub", "ce_specversion": "1.0", "ce_type": PUBSUB}
    root = package(tmp_path)
    with Serving(root, python, tmp_path / "log", signature="cloudevent") as serving:
        assert serving.call(event(INPUT), content_type=JSON, **kind)[0] == 200
        assert serving.call(event(b"{"), content_type=JSON, **kind)[0] == 200
    found = [(line["requestId"], line["status"]) for line in told(serving) if "status" in line]
    assert found == [("e1", 200), ("e1", 400)]


def test_a_handler_that_computes_while_it_is_imported_does_not_hang_the_first_prediction(
    tmp_path: Path, python_torch: Path
) -> None:
    root = package(tmp_path, TORCH)
    more = {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"}  # as a machine of four processors has it
    with Serving(root, python_torch, tmp_path / "log", THREADS="1", **more) as serving:
        status, body, _ = serving.call(INPUT, content_type=JSON)
        threads, worker = json.loads(body)["predictions"][0]
        assert (status, threads) == (200, 1)
        assert worker != serving.process.pid


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor starts no pool of threads")
def test_more_threads_are_started_in_the_worker(tmp_path: Path, python_torch: Path) -> None:
    root = package(tmp_path, TORCH)
    log = tmp_path / "log"
    with Serving(root, python_torch, log, THREADS="1", CLOUDDEPLOY_THREADS="2") as serving:
        status, body, _ = serving.call(INPUT, content_type=JSON)
        assert (status, json.loads(body)["predictions"][0][0]) == (200, 2)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_model_that_can_not_be_loaded_ends_the_process_with_its_reason(
    threads: str, tmp_path: Path, python: Path
) -> None:
    root = package(tmp_path, "import nothing_of_that_name\n")
    serving = Serving(root, python, tmp_path / "log", CLOUDDEPLOY_THREADS=threads)
    assert serving.process.wait(60) != 0
    line = next(line for line in told(serving) if line["severity"] == "ERROR")
    assert "No module named 'nothing_of_that_name'" in line["message"]
    assert "handler.py" in line["stack_trace"]


def test_a_worker_whose_prediction_never_ends_is_replaced(tmp_path: Path, python: Path) -> None:
    variables = {"THREADS": "1", "CLOUD_RUN_TIMEOUT_SECONDS": "2", "FLAG": str(tmp_path / "flag")}
    with Serving(package(tmp_path, HANGS_ONCE), python, tmp_path / "log", **variables) as serving:
        assert serving.call(INPUT, content_type=JSON)[0] == 503
        assert serving.call(INPUT, content_type=JSON)[0] == 500
        status, body, _ = serving.call(INPUT, content_type=JSON)
        assert status == 200
    loaded = [line for line in told(serving) if line["message"] == "the model is loaded"]
    assert len(loaded) == 1  # by the process that both workers are forks of
    assert json.loads(body)["predictions"][0] != serving.process.pid
    assert any("never ended" in line["message"] for line in told(serving))
