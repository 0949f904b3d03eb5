from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from clouddeploy.runtime import Service, npy
from tests.unit.runtime_function.conftest import http, kept_path, lay_out, rest, sqs
from tests.unit.runtime_function.runtime_api import Environment

BODY = '{"inputs":[[0.1,2],[3.3333333,1e-7]]}'


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """One environment that serves the doubling model."""
    folder = tmp_path_factory.mktemp("warm")
    with Environment(lay_out(folder / "p", runtime=True), folder / "log") as environment:
        yield environment


def test_every_kind_of_request_has_the_bytes_that_the_service_gives(
    warm: Environment, tmp_path: Path
) -> None:
    root = lay_out(tmp_path / "p")
    with kept_path():
        expected = Service.load(root / "model", root).answer(BODY.encode()).body
    for event in (rest(BODY), http(BODY), {"body": BODY}):
        assert warm.invoke(event)["body"].encode() == expected
    assert warm.invoke(json.loads(BODY)) == json.loads(expected)


def test_npy_and_batches_pass_through_the_real_client(warm: Environment) -> None:
    array = np.arange(200_000, dtype=np.float32).reshape(-1, 2)
    event = http(
        base64.b64encode(npy.write(array)).decode(),
        isBase64Encoded=True,
        headers={"content-type": "application/x-npy", "accept": "application/x-npy"},
    )
    answer = warm.invoke(event)
    found = npy.read(base64.b64decode(answer["body"]), "the answer")
    np.testing.assert_array_equal(found, array * 2)
    assert warm.invoke(sqs(BODY, "{")) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


def test_an_unknown_event_is_a_function_error(warm: Environment) -> None:
    warm.send({"key1": "value1"})
    kind, body = warm.answer()
    assert kind == "error"
    assert json.loads(body)["errorType"] == "UnknownEvent"
    assert "'key1'" in json.loads(body)["errorMessage"]


def test_the_log_has_one_json_line_for_each_request(warm: Environment) -> None:
    request_id = warm.send(http(BODY))
    assert warm.answer()[0] == "response"
    (line,) = (line for line in warm.lines() if line["requestId"] == request_id)
    assert (line["level"], line["status"], line["batch"]) == ("INFO", 200, 2)


def test_a_prediction_that_hangs_is_503_and_then_the_environment_ends(tmp_path: Path) -> None:
    hang = "import time\ndef predict(x):\n    time.sleep(60)\n    return x\n"
    root = lay_out(tmp_path / "p", hang, runtime=True)
    with Environment(root, tmp_path / "log", timeout_s=1) as environment:
        assert environment.invoke({"inputs": [[1, 2]]})["error"]["code"] == "out_of_time"
        environment.send(http(BODY))
        assert environment.answer()[0] == "exit"
        assert "never ended" in environment.log.read_text()


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("import no_such_module\ndef predict(x):\n    return x\n", "No module named 'no_such_module'"),
        ("def predict(x):\n    return x\ndef load(d):\n    raise SystemExit(3)\n", "ended the process"),
        ("def predict(:\n", "SyntaxError"),
        ("import os\ndef predict(x): return x\ndef load(d):\n    raise OSError(30, 'ro', d)\n", "under /tmp"),
        (None, "no built-in loader"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_init_with_the_reason(
    handler: str | None, reason: str, tmp_path: Path
) -> None:
    root = lay_out(tmp_path / "p", handler, runtime=True)
    with Environment(root, tmp_path / "log") as environment:
        kind, body = environment.answer()
        assert kind == "init/error"
        assert json.loads(body)["errorType"] == "LoadError"
        assert reason in json.loads(body)["errorMessage"]
        assert environment.process.wait(20) == 1
        assert reason in environment.lines()[0]["message"]
