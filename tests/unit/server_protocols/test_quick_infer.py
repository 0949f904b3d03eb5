"""The quick reader and writer of V2 give what the thorough ones give, or leave it to them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.signature import Signature
from clouddeploy.server.engine.fast import FastJson
from clouddeploy.server.engine.jobs import Texts
from clouddeploy.server.protocols.infer import read_infer, write_infer
from clouddeploy.server.protocols.quick_infer import QuickInfer
from clouddeploy.server.protocols.tensors import NAMES, outputs_of

HEAD = {"model_name": 'm"ö', "model_version": "3"}
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, -0.0, 1e39, 255, -1, True, None, "1"]),
)
KEYS = st.sampled_from(["name", "shape", "datatype", "data", "parameters", "more"])


def made(dtype: str) -> tuple[QuickInfer, Signature, FastJson]:
    signature = Signature.parse({"inputs": [{"name": "x", "dtype": dtype, "shape": [None, 2]}]})
    fast = FastJson.of(signature)
    assert fast is not None
    return QuickInfer("x", dtype, 2, HEAD, "y"), signature, fast


@st.composite
def bodies(draw: Any) -> str:
    """Requests that are right, and ones that are wrong in some way."""
    size = draw(st.integers(1, 3))
    tensor = {
        "name": "x",
        "shape": [size, 2],
        "datatype": draw(st.sampled_from(["FP32", "INT8", "FP64", "BOOL"])),
    }
    tensor["data"] = draw(st.lists(NUMBERS, min_size=2 * size, max_size=2 * size))
    whole: dict[str, Any] = {"inputs": [tensor]}
    whole |= draw(
        st.sampled_from([{}, {"id": "7"}, {"id": None}, {"id": "é"}, {"outputs": []}, {"parameters": {}}])
    )
    if draw(st.booleans()):
        change = draw(st.sampled_from(["shape", "data", "twice", "tensors", "key"]))
        if change == "shape":
            tensor["shape"] = draw(st.lists(st.integers(-1, 3), max_size=3))
        elif change == "data":
            tensor["data"] = [[1, 2]]
        elif change == "tensors":
            whole["inputs"] = [tensor] * draw(st.sampled_from([0, 2]))
        elif change == "key":
            tensor[draw(KEYS)] = draw(st.sampled_from([1, "x", [], {}]))
    text = json.dumps(whole, ensure_ascii=draw(st.booleans()))
    return text.replace('"name"', '"name": "z", "name"', draw(st.sampled_from([0, 0, 0, 1])))


@given(bodies(), st.sampled_from(["float32", "float64", "int8", "uint64"]))
@example('{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[-0,-0.0]}]}', "float32")
@example('{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}],"id":"a\\u0041"}', "float32")
def test_what_is_read_quickly_is_read_alike_thoroughly(body: str, dtype: str) -> None:
    quick, signature, fast = made(dtype)
    found = quick.read(body.encode())
    if found is None:
        return
    rows, given_id = found
    array = fast.array(rows.values)
    if array is None:  # which is then read again
        return
    thorough = read_infer(body.encode(), None, signature)
    assert thorough.request.size == rows.size
    assert np.asarray(thorough.request.inputs).tobytes() == array.tobytes()
    assert (thorough.id, thorough.wanted, thorough.binary) == (given_id, (), False)


def test_a_usual_request_is_read_quickly() -> None:
    quick, _, _ = made("float32")
    for more in ({}, {"id": "7"}):
        tensor = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2.5, 3, 4]}
        found = quick.read(json.dumps({**more, "inputs": [tensor]}).encode())
        assert found is not None
        assert (found[0].values, found[1]) == ([[1, 2.5], [3, 4]], more.get("id"))


@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
@pytest.mark.parametrize("given_id", [None, "7", 'é"\n'])
def test_what_is_written_has_the_same_bytes(shape: tuple[int, ...], dtype: str, given_id: str | None) -> None:
    quick, signature, fast = made("float32")
    outputs = (np.random.default_rng(3).normal(size=(3, *shape)) * 50 + 60).astype(dtype)
    rows = fast.write(outputs)
    assert rows is not None
    head = {**HEAD, **({} if given_id is None else {"id": given_id})}
    named = Signature.parse(
        {
            "inputs": signature_rows(signature),
            "outputs": [{"name": "y", "dtype": dtype, "shape": [None, *shape]}],
        }
    )
    thorough, _ = write_infer(head, outputs_of(Result(outputs), named, (), False))
    assert quick.write(Texts(rows, dtype, shape), given_id) == thorough


def signature_rows(signature: Signature) -> list[dict[str, Any]]:
    return [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape)} for t in signature.inputs]


def test_a_number_that_does_not_fit_is_told_in_the_protocols_words() -> None:
    quick, signature, fast = made("float32")
    tensor = {"name": "x", "shape": [1, 2], "datatype": NAMES["float32"], "data": [1e39, 0]}
    body = json.dumps({"inputs": [tensor]}).encode()
    found = quick.read(body)
    assert found is None or fast.array(found[0].values) is None
    with pytest.raises(WireError):
        read_infer(body, None, signature)
