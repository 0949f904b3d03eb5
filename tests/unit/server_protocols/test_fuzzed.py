"""Whatever a client sends, a decoder gives arrays that fit the signature or a 4xx, and nothing else."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clouddeploy.runtime.decode import Request, decode
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.signature import Signature, Tensor
from clouddeploy.server.protocols.infer import _loads as parsed
from clouddeploy.server.protocols.infer import read_infer
from clouddeploy.server.protocols.tensors import DATATYPES
from clouddeploy.server.protocols.tfserving import read_classify, read_predict, read_regress
from tests.unit.server_protocols.conftest import Serve

ONE = Signature((Tensor("x", "float32", (None, 2)),))
TWO = Signature((Tensor("a", "str", (None,)), Tensor("b", "int8", (None, None))))
SIGNATURES = st.sampled_from([ONE, TWO, Signature(), Signature((Tensor("u", "uint64", (None,)),))])
NAMES = st.sampled_from(
    ["x", "a", "b", "u", "input", "inputs", "instances", "examples", "context", "b64", ""]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
SIZES = st.integers(-2, 2**70) | SCALARS
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES | SCALARS,
        "datatype": st.sampled_from([*DATATYPES, "BF16", "FLOAT"]) | SCALARS,
        "shape": st.lists(SIZES, max_size=4) | SCALARS,
        "data": VALUES,
        "parameters": st.dictionaries(st.sampled_from(["binary_data_size", "x"]), SIZES, max_size=2)
        | SCALARS,
    },
)
INFER = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS | SCALARS, max_size=3) | SCALARS},
    optional={
        "id": SCALARS,
        "parameters": st.dictionaries(st.sampled_from(["binary_data_output", "x"]), SCALARS) | SCALARS,
        "outputs": st.lists(TENSORS, max_size=2) | SCALARS,
    },
)
MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def fits(request: Request, signature: Signature) -> None:
    """What the handler gets is what the signature says."""
    inputs = request.inputs
    named = inputs if isinstance(inputs, dict) else {t.name: inputs for t in signature.inputs[:1]}
    for tensor in signature.inputs:
        array = named[tensor.name]
        assert array.dtype == (object if tensor.dtype == "str" else np.dtype(tensor.dtype))
        assert len(array) == request.size > 0
        assert array.ndim == len(tensor.shape)
        assert array.flags.writeable


def refused_or_right(read: Callable[[], Request], signature: Signature) -> None:
    found: Request | WireError
    try:
        found = read()
    except WireError as error:
        found = error
    if isinstance(found, Request):
        fits(found, signature)
    else:
        assert 400 <= found.status < 500
        assert found.message
        assert found.fix


@MANY
@given(value=INFER, rest=st.none() | st.binary(max_size=40), signature=SIGNATURES)
def test_v2_requests(value: Any, rest: bytes | None, signature: Signature) -> None:
    text = json.dumps(value).encode()
    body, size = (text, None) if rest is None else (text + rest, len(text))
    refused_or_right(lambda: read_infer(body, size, signature).request, signature)


@MANY
@given(
    datatype=st.sampled_from([*DATATYPES, "BF16"]),
    shape=st.lists(st.integers(0, 4), max_size=3),
    data=st.binary(max_size=64),
    signature=SIGNATURES,
)
def test_v2_binary_tensors(datatype: str, shape: list[int], data: bytes, signature: Signature) -> None:
    name = signature.inputs[0].name if signature.inputs else "x"
    tensor = {"name": name, "datatype": datatype, "shape": shape}
    text = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}]}).encode()
    refused_or_right(lambda: read_infer(text + data, len(text), signature).request, signature)


@MANY
@given(body=st.binary(max_size=60), size=st.none() | st.integers(0, 80))
@example(body=b"\xff\xfe", size=None)
@example(body=b"[" * 50, size=50)
def test_v2_garbage(body: bytes, size: int | None) -> None:
    refused_or_right(lambda: read_infer(body, size, ONE).request, ONE)


def rounded(value: Any) -> Any:
    """`value` with whole numbers beyond 64 bits as floats, which no tensor of whole numbers takes either."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    wide = isinstance(value, int) and not -(2**63) <= value < 2**64
    return float(value) if wide else value


@MANY
@given(value=VALUES, twice=st.booleans())
@example(value={"data": [1, "x", {"a": 1}]}, twice=False)
@example(value=[[1, '"'], ["\\"]], twice=False)
def test_fast_parsing_is_strict_parsing(value: Any, twice: bool) -> None:
    text = json.dumps({"a": value}).encode()
    if twice:
        text = b'{"a":1,%b' % text[1:]
        with pytest.raises(WireError, match="stands twice"):
            parsed(text)
    else:
        assert rounded(parsed(text)) == {"a": rounded(value)}


@MANY
@given(value=st.dictionaries(NAMES, VALUES, max_size=3), signature=SIGNATURES)
def test_tensorflow_serving_bodies(value: Any, signature: Signature) -> None:
    for read in (read_predict, read_classify, read_regress):
        refused_or_right(lambda read=read: read(value, signature)[0], signature)  # type: ignore[misc]


@MANY
@given(value=VALUES, signature=SIGNATURES)
def test_the_wire_contracts_bodies(value: Any, signature: Signature) -> None:
    text = json.dumps(value)
    refused_or_right(lambda: decode(text, "application/json", signature), signature)


PATHS = ("/predict", "/batch_predict", "/invocations", "/jobs", "/v2/models/m/infer", "/v1/models/m:predict")


@pytest.mark.parametrize("path", [*PATHS, "/v1/models/m:classify", "/models/m/predict"])
def test_a_server_survives_garbage_and_answers_each_with_4xx(serve: Serve, path: str) -> None:
    server = serve()
    bodies: list[bytes] = [bytes(range(256)), b"null", b"0", b'"x"', b"{}", b'{"inputs":null}', b"\x00" * 100]
    bodies += [b"[" * 70_000, b'{"a":' * 70_000, b"1" * 6000, b'{"inputs":[{"shape":[1e400]}]}']
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        reader = client.makefile("rb")
        for body in bodies:
            head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            status = int(reader.readline().split()[1])
            assert 400 <= status < 500, body[:50]
            length = 0
            while line := reader.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name == b"content-length" else length
            assert json.loads(reader.read(length))["error"]
    assert server.post("/predict", {"input": [1, 2]}).status == 200
