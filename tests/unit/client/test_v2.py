"""Predictions by the Open Inference Protocol V2: JSON, and bytes where the server offers them."""

from __future__ import annotations

import json
import math
import socket
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clouddeploy import errors
from clouddeploy.client import tensors
from clouddeploy.client.tensors import LENGTH, Offer, offer, read, write
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.signature import Signature, Tensor
from tests.unit.client.conftest import Hands
from tests.unit.client.misbehaving import Got, Server, answering, refusing

BINARY = answering({"name": "clouddeploy", "extensions": ["binary_tensor_data"]})
PLAIN = answering({"name": "other", "extensions": []})
MODEL = answering(
    {
        "name": "net",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
    }
)


def echo(sock: socket.socket, got: Got) -> bool:
    """Give the input back as the output."""
    body, size = got.body, got.headers.get(LENGTH)
    end = int(size) if size else len(body)
    asked = json.loads(body[:end])
    row = {**asked["inputs"][0], "name": "y"}
    head = json.dumps({"model_name": "net", "id": asked["id"], "outputs": [row]}).encode()
    return answering(raw=head + body[end:], headers={LENGTH: str(len(head))} if size else {})(sock, got)


def test_binary_tensors_are_used_when_they_are_offered_and_it_is_asked_once(connect: Any) -> None:
    with Server([BINARY, MODEL, echo]) as server:
        client = connect(server.url, model="net", version="2")
        for _ in range(3):
            found = client.predict(np.float64([[1, 2], [3, 4]]))
        paths = [got.path for got in server.requests]
        last = server.requests[-1]
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 2], [3, 4]]
    assert paths == ["/v2", "/v2/models/net/versions/2", *["/v2/models/net/versions/2/infer"] * 3]
    assert last.headers["content-type"] == "application/octet-stream"
    assert last.body.endswith(np.float32([[1, 2], [3, 4]]).tobytes())


def test_a_server_that_offers_none_gets_json(connect: Any) -> None:
    with Server([PLAIN, MODEL, echo]) as server:
        assert connect(server.url, model="net").predict([[1, 2.5]]).tolist() == [[1, 2.5]]
        assert json.loads(server.requests[-1].body)["inputs"][0]["data"] == [1, 2.5]


def test_after_a_refusal_the_model_is_looked_at_again(connect: Any, hands: Hands) -> None:
    with Server([BINARY, MODEL, refusing(400, "bad_shape"), BINARY, MODEL, echo]) as server:
        client = connect(server.url, hands, model="net")
        with pytest.raises(errors.InputError):
            client.predict([[1, 2]])
        client.predict([[1, 2]])
        assert len(server.requests) == 6


@pytest.mark.parametrize("inputs", [[[1, 2, 3]], {"z": [[1, 2]]}, [["a", "b"]], [[1e300, 0]]])
def test_inputs_that_do_not_fit_the_model_are_not_sent(connect: Any, inputs: Any) -> None:
    with Server([BINARY, MODEL, echo]) as server:
        with pytest.raises(errors.InputError):
            connect(server.url, model="net").predict(inputs)
        assert len(server.requests) == 2


@pytest.mark.parametrize("model", [{}, [], {"inputs": [{"name": "x"}], "outputs": []}])
def test_metadata_that_is_none_is_told(connect: Any, hands: Hands, model: Any) -> None:
    with Server([BINARY, answering(model)]) as server:
        with pytest.raises(errors.CloudDeployError, match="metadata can't be read"):
            connect(server.url, hands, model="net").predict([[1, 2]])


def known(dtype: str, dimensions: int, *, binary: bool) -> Offer:
    return Offer(Signature((Tensor("x", dtype, (None,) * dimensions),)), binary)


numbers = st.sampled_from(sorted(set(tensors.DTYPES.values()) - {"str"}))


@given(st.data(), numbers, st.booleans())
def test_every_array_comes_back_as_it_went(data: st.DataObject, dtype: str, binary: bool) -> None:
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.startswith("float") else {}
    shapes = arrays.array_shapes(max_dims=3, max_side=4)
    elements = arrays.from_dtype(np.dtype(dtype), **finite)
    array = data.draw(arrays.arrays(dtype, shapes, elements=elements))
    back = returned(*write(array, known(dtype, array.ndim, binary=binary), "1"))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes() or (back == array).all()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5), st.booleans())
def test_texts_come_back_as_they_went(texts: list[str], binary: bool) -> None:
    body, headers = write({"x": texts}, known("str", 1, binary=binary), "1")
    assert returned(body, headers).tolist() == texts


def returned(body: bytes, headers: dict[str, str]) -> Any:
    end = int(headers.get(LENGTH, len(body)))
    asked = json.loads(body[:end])
    head = json.dumps({"outputs": asked["inputs"]}).encode()
    return read(head + body[end:], {LENGTH: str(len(head))} if LENGTH in headers else {})


@given(st.binary(max_size=200), st.none() | st.integers(-5, 300))
def test_any_bytes_are_read_or_refused_and_never_break_it(body: bytes, size: int | None) -> None:
    with pytest.raises(WireError):
        read(body, {} if size is None else {LENGTH: str(size)})


@given(
    st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)),
    st.sampled_from([*tensors.DTYPES, "BF16", 3]),
    st.lists(st.integers(-2, 3), max_size=3),
    st.none() | st.integers(-3, 40) | st.text(max_size=2),
)
def test_any_output_is_read_or_refused(data: Any, datatype: Any, shape: list[int], size: Any) -> None:
    row = {"name": "y", "datatype": datatype, "shape": shape, "data": data}
    if size is not None:
        row["parameters"] = {"binary_data_size": size}
    head = json.dumps({"outputs": [row]}).encode()
    try:
        found = read(head + bytes(16), {LENGTH: str(len(head))})
    except WireError:
        return
    assert found.size == math.prod(shape)


def test_several_outputs_come_by_name() -> None:
    rows = [{"name": name, "datatype": "INT64", "shape": [1], "data": [1]} for name in ("a", "b")]
    assert read(json.dumps({"outputs": rows}).encode(), {}).keys() == {"a", "b"}


def test_binary_is_off_where_the_server_does_not_speak_of_it() -> None:
    model = {"inputs": [], "outputs": []}
    assert not offer({}, model).binary
    assert not offer("text", model).binary
    assert offer({"extensions": ["binary_tensor_data"]}, model).binary
