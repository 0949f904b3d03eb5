from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime import WireError
from clouddeploy.runtime.function import Function, Stuck, start
from clouddeploy.runtime.function.budget import Worker, seconds_for
from tests.unit.runtime_function.conftest import Context, MakePackage, http

GATE = """
import threading
gate = threading.Event()
calls = []

def predict(inputs):
    calls.append(len(inputs))
    if len(calls) == 1:
        wait_for_the_gate()
    return inputs

def wait_for_the_gate():
    gate.wait(20)
"""


def handler_of(function: Function) -> Any:
    import sys

    return sys.modules["_clouddeploy_app_handler"]


def test_the_budget_keeps_a_margin_for_the_answer() -> None:
    assert seconds_for(30_000) == 29.75
    assert seconds_for(1_000) == pytest.approx(0.9)
    assert seconds_for(0) == 0


def test_a_prediction_that_is_late_is_503_before_the_platform_ends_it(
    package: MakePackage, capsys: pytest.CaptureFixture[str]
) -> None:
    function = start(package(GATE), {})
    answer = function(http(), Context(0.1))
    handler_of(function).gate.set()
    assert answer["statusCode"] == 503
    assert answer["headers"]["retry-after"] == "1"
    assert json.loads(answer["body"])["error"]["code"] == "out_of_time"
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "wait_for_the_gate" in line["trace"]
    again = function(http(), Context())
    assert again["statusCode"] == 200
    assert handler_of(function).calls == [1, 1]


def test_a_direct_invocation_out_of_time_is_answered_too(package: MakePackage) -> None:
    function = start(package(GATE), {})
    assert function({"inputs": [[1, 2]]}, Context(0.1))["error"]["code"] == "out_of_time"
    handler_of(function).gate.set()


def test_an_environment_whose_prediction_never_ends_ends_itself(package: MakePackage) -> None:
    function = start(package(GATE), {})
    assert function(http(), Context(0.1))["statusCode"] == 503
    with pytest.raises(Stuck, match="never ended"):
        function(http(), Context(0.1))
    handler_of(function).gate.set()


def test_with_no_time_left_nothing_is_begun(package: MakePackage) -> None:
    function = start(package(GATE), {})
    assert function(http(), Context(0.001))["statusCode"] == 503
    assert handler_of(function).calls == []


def test_without_a_context_predictions_run_in_the_callers_thread(package: MakePackage) -> None:
    text = "import threading\ndef predict(x):\n    return [threading.get_ident()]\n"
    function = start(package(text), {})
    assert function({"inputs": [[1, 2]]}) == {"predictions": [threading.get_ident()]}
    assert function({"inputs": [[1, 2]]}, Context()) != {"predictions": [threading.get_ident()]}


def test_a_steady_model_that_was_quick_stays_in_the_callers_thread(package: MakePackage) -> None:
    text = "import threading\ndef predict(x):\n    return [threading.get_ident()] * len(x)\n"
    function = start(package(text), {})
    function._service.steady = True
    here = threading.get_ident()

    def ran_in(rows: int, remaining_s: float = 30) -> int:
        found: int = function({"inputs": [[1, 2]] * rows}, Context(remaining_s))["predictions"][0]
        return found

    assert ran_in(2) != here
    assert ran_in(1) == ran_in(2) == here
    assert ran_in(3) != here
    function._service._slowest_s = 5
    assert ran_in(1) != here


def test_a_built_in_loaders_model_is_steady_and_a_handlers_is_not(package: MakePackage) -> None:
    import onnx
    from onnx import TensorProto, helper

    float32, shape = TensorProto.FLOAT, ["n", 2]
    x, y = (helper.make_tensor_value_info(name, float32, shape) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    root = package(None, format="onnx", weights="model.onnx")
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), root / "model" / "model.onnx")
    function = start(root, {})
    assert function._service.steady
    for _ in range(2):
        assert function(http(), Context())["body"] == '{"predictions":[[2.0,4.0]]}'
    assert not start(package(), {})._service.steady


def test_the_worker_hands_over_results_errors_and_numpys_settings() -> None:
    with np.errstate(divide="raise"):
        worker = Worker()
        assert worker.run(lambda: 3, 5) == 3
    with pytest.raises(FloatingPointError):
        worker.run(lambda: np.ones(1) / np.zeros(1), 5)
    with pytest.raises(SystemExit):
        worker.run(lambda: (_ for _ in ()).throw(SystemExit(3)), 5)


def test_a_handlers_exit_is_a_failed_prediction(package: MakePackage) -> None:
    function = start(package("import sys\ndef predict(x):\n    sys.exit(3)\n"), {})
    assert function(http(), Context())["statusCode"] == 500
    assert function(http(), Context())["statusCode"] == 500


def test_a_late_result_is_never_anothers_answer() -> None:
    worker, gate = Worker(), threading.Event()
    with pytest.raises(WireError):
        worker.run(lambda: gate.wait(20) and "first", 0.02)
    gate.set()
    assert worker.run(lambda: "second", 5) == "second"
