from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.runtime import LoadError, Service, WireError
from clouddeploy.runtime.errors import STATUS
from clouddeploy.runtime.signature import Signature, Tensor
from tests.unit.runtime.conftest import SCALE, MakeArtifact, signature

FLOATS = Signature((Tensor("x", "float32", (None, 2)),))
KINDS = [
    "application/json",
    "application/x-npy",
    "text/csv",
    "",
    "application/xml",
    "text/csv; charset=utf-16",
]


def strict(body: bytes) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(body, parse_constant=refuse)


def test_a_handler_model_answers(artifact: MakeArtifact) -> None:
    folder = artifact(SCALE, signature=signature(("x", "float32", [None, 2])))
    np.save(folder / "weights.npy", np.array([[1, 0], [0, 2]], dtype=np.float32))
    answer = Service.load(folder, keep_path=False).answer(b'{"inputs":[[0.1,2]]}', request_id="r1")
    assert (answer.status, answer.body) == (200, b'{"predictions":[[0.1,4.0]]}')
    assert answer.headers["x-request-id"] == "r1"
    assert answer.headers["x-clouddeploy-model"] == "0" * 64


def test_a_numpy_model_loads_from_the_artifact_alone_and_without_torch(artifact: MakeArtifact) -> None:
    folder = artifact(SCALE)
    np.save(folder / "weights.npy", np.eye(2))
    code = (
        "import sys; sys.path.insert(0, sys.argv[1] + '/code'); import inference; from pathlib import Path\n"
        "print(inference.model_fn(sys.argv[1]).answer(b'{\"inputs\":[[1,2]]}').body.decode())\n"
        "print(sorted(m for m in sys.modules if m.partition('.')[0] in ('torch', 'onnxruntime', 'boto3')))\n"
        "print(Path(sys.modules['clouddeploy.runtime'].__file__).is_relative_to(sys.argv[1]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True, cwd=folder
    )
    assert found.stdout.splitlines() == ['{"predictions":[[1.0,2.0]]}', "[]", "True"]


def test_a_handler_class_with_steps_around_predict_is_called_in_order(artifact: MakeArtifact) -> None:
    service = Service.load(
        artifact(
            "class Handler:\n"
            "    def load(self, model_dir): self.seen = ['load']\n"
            "    def preprocess(self, inputs): return inputs + 1\n"
            "    def predict(self, inputs): return inputs * 10\n"
            "    def postprocess(self, outputs): return [f'{value:g}' for value in outputs]\n"
        ),
        keep_path=False,
    )
    assert service.answer(b'{"inputs":[1,2]}').body == b'{"predictions":["20","30"]}'


def test_modules_beside_the_handler_are_the_packed_ones(artifact: MakeArtifact, tmp_path: Path) -> None:
    answers = []
    for name in ("one", "two"):
        folder = artifact("import beside\ndef predict(inputs): return inputs * 0 + beside.VALUE\n", name)
        (folder / "code" / "app" / "beside.py").write_text(f"VALUE = {len(name) + len(answers)}\n")
        answers.append(Service.load(folder, keep_path=False).answer(b'{"input":0}').body)
    assert answers == [b'{"prediction":3}', b'{"prediction":4}']
    assert "beside" not in sys.modules
    assert not any(str(tmp_path) in place for place in sys.path)


@pytest.mark.parametrize(
    ("handler", "phase", "words"),
    [
        ("x = 1", "import", "no function predict"),
        ("def predict(): return 1", "import", "one argument"),
        ("predict = 3", "import", "no function"),
        ("async def predict(x): return x", "import", "async"),
        ("import no_such_module_anywhere", "import", "no_such_module_anywhere"),
        ("def predict(x) return x", "import", "SyntaxError"),
        ("def load(d): raise OSError('gone')\ndef predict(x): return x", "load", "gone"),
        (
            "class Handler:\n  def __init__(self, a): ...\n  def predict(self, x): return x",
            "load",
            "Handler()",
        ),
    ],
)
def test_a_handler_that_cannot_serve_says_so_when_it_loads(
    artifact: MakeArtifact, handler: str, phase: str, words: str
) -> None:
    with pytest.raises(LoadError) as caught:
        Service.load(artifact(handler), keep_path=False)
    assert caught.value.phase == phase
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"version": 99}, "version 99"),
        ({"format": "files"}, "write a handler"),
        ({"format": "strange"}, "strange"),
    ],
)
def test_a_manifest_that_cannot_be_served_is_refused(artifact: MakeArtifact, facts: Any, words: str) -> None:
    with pytest.raises(LoadError, match=words):
        Service.load(artifact(**facts), keep_path=False)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"clouddeploy\.json"):
        Service.load(tmp_path)


@pytest.mark.parametrize(
    "outputs",
    [
        np.zeros(3),
        np.zeros((1, 2)),
        5,
        None,
        [[1], [2, 3]],
        [object(), object()],
        {},
        {1: np.zeros(2)},
        {"a": np.zeros(2), "b": np.zeros(3)},
        np.zeros(2, complex),
    ],
)
def test_predictions_that_cannot_be_sent_are_a_bad_prediction(
    outputs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = Service(lambda inputs: outputs).answer(b'{"inputs":[1,2]}')
    assert answer.status == 500
    assert strict(answer.body)["error"]["code"] == "bad_prediction"


@pytest.mark.parametrize(
    ("outputs", "body"),
    [
        ([np.float32(0.1), np.float32(2)], b'{"predictions":[0.1,2.0]}'),
        (np.array([True, False]), b'{"predictions":[true,false]}'),
        (["a", "b"], b'{"predictions":["a","b"]}'),
        (
            (np.zeros(2), np.ones(2)),
            b'{"predictions":[{"output_0":0.0,"output_1":1.0},{"output_0":0.0,"output_1":1.0}]}',
        ),
        ({"p": [1, 2]}, b'{"predictions":[{"p":1},{"p":2}]}'),
    ],
)
def test_numpy_scalars_text_tuples_and_dicts_are_sent(outputs: Any, body: bytes) -> None:
    assert Service(lambda inputs: outputs).answer(b'{"inputs":[1,2]}').body == body


def fails(error: BaseException) -> Any:
    def predict(inputs: Any) -> Any:
        raise error

    return predict


@pytest.mark.parametrize(
    "error", [ValueError("secret"), MemoryError(), SystemExit(3), RecursionError(), KeyError("k")]
)
def test_a_handler_that_raises_is_a_500_whose_trace_is_in_the_log_only(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = Service(fails(error)).answer(b'{"inputs":[1]}', request_id="abc")
    assert answer.status == 500
    assert strict(answer.body)["error"]["code"] == "prediction_failed"
    assert b"secret" not in answer.body
    log = capsys.readouterr().err
    assert type(error).__name__ in log
    assert all(line.startswith("[abc] ") for line in log.splitlines())


def test_a_handler_may_refuse_an_input_itself() -> None:
    answer = Service(fails(WireError("bad_input", "inputs[0] is no image", "send a PNG"))).answer(
        b'{"inputs":["x"]}'
    )
    assert answer.status == 400
    assert strict(answer.body)["error"]["message"] == "inputs[0] is no image"


def test_a_body_over_the_limit_is_413() -> None:
    answer = Service(lambda inputs: inputs, body_limit=10).answer(b'{"inputs":[1,2,3]}')
    assert answer.status == 413
    assert "18 bytes" in strict(answer.body)["error"]["message"]


def test_an_accept_that_cannot_be_met_is_refused_before_predicting() -> None:
    answer = Service(fails(AssertionError("called"))).answer(b'{"inputs":[1]}', accept="image/png")
    assert answer.status == 406


def check(answer: Any) -> None:
    if answer.status == 200:
        return
    error = strict(answer.body)["error"]
    assert error.keys() == {"code", "message", "fix"}
    assert STATUS[error["code"]] == answer.status
    assert answer.content_type == "application/json"


@given(
    st.binary(max_size=300), st.sampled_from(KINDS) | st.text(max_size=20), st.sampled_from([*KINDS, "*/*"])
)
def test_any_bytes_get_an_answer_of_the_contract(body: bytes, content_type: str, accept: str) -> None:
    for known in (Signature(), FLOATS):
        check(Service(lambda inputs: inputs, known).answer(body, content_type, accept))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(values, st.sampled_from(["inputs", "input"]))
def test_any_json_gets_an_answer_of_the_contract(value: Any, key: str) -> None:
    named = Signature((Tensor("a", "int8", (None,)), Tensor("b", "str", (None,))))
    for known in (Signature(), FLOATS, named):
        check(Service(lambda inputs: inputs, known).answer(json.dumps({key: value}).encode()))


@given(st.binary(max_size=60), st.integers(0, 90))
def test_npy_files_with_bytes_changed_get_an_answer_of_the_contract(noise: bytes, place: int) -> None:
    from clouddeploy.runtime import npy

    body = bytearray(npy.write(np.zeros((2, 2), dtype=np.float32)))
    body[place : place + len(noise)] = noise
    check(Service(lambda inputs: inputs).answer(bytes(body), "application/x-npy"))


def test_arrays_given_in_process_become_what_their_bytes_would_become() -> None:
    service = Service(lambda inputs: inputs, FLOATS)
    assert service.call(np.array([[1, 2]])).dtype == np.float32
    two = Signature((Tensor("a", "int8", (None,)), Tensor("b", "str", (None,))))
    assert Service(lambda inputs: inputs["a"], two).call({"a": [1, 2], "b": ["x", "y"]}).dtype == np.int8


@pytest.mark.parametrize(
    "inputs", [np.zeros((1, 3)), np.zeros((0, 2)), 5, {"x": [1], "y": [2]}, {"x": np.zeros((1, 5))}]
)
def test_arrays_that_do_not_fit_are_refused_in_process_too(inputs: Any) -> None:
    with pytest.raises(WireError):
        Service(lambda inputs: inputs, FLOATS).call(inputs)


@pytest.mark.parametrize("inputs", [{"a": [1], "b": [1, 2]}, {"a": [1]}, [1]])
def test_named_inputs_that_do_not_agree_are_refused_in_process(inputs: Any) -> None:
    two = Signature((Tensor("a", "int8", (None,)), Tensor("b", "int8", (None,))))
    with pytest.raises(WireError):
        Service(lambda inputs: inputs, two).call(inputs)
