"""The Open Inference Protocol V2 by real bytes: JSON, binary tensors, metadata, errors."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from clouddeploy.server.protocols.tensors import DATATYPES
from tests.unit.server_protocols.conftest import Reply, Serve, Server

LENGTH = "inference-header-content-length"
SAME = "def predict(x):\n    return x\n"


def tensor(name: str = "x", datatype: str = "FP32", shape: Any = (1, 2), **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape), **more}


def infer(server: Server, *inputs: dict[str, Any], data: bytes | None = None, **more: Any) -> Reply:
    text = json.dumps({"inputs": list(inputs), **more}).encode()
    if data is None:
        return server.post("/v2/models/m/infer", text)
    return server.send("POST", "/v2/models/m/infer", text + data, **{LENGTH: str(len(text))})


def parts(reply: Reply) -> tuple[dict[str, Any], bytes]:
    """The JSON and what follows it."""
    size = int(reply.headers[LENGTH])
    return json.loads(reply.body[:size]), reply.body[size:]


def test_the_server_and_its_models_describe_themselves(serve: Serve) -> None:
    server = serve()
    about = server.get("/v2").json
    assert about["name"] == "clouddeploy"
    assert about["extensions"] == ["binary_tensor_data"]
    assert server.get("/v2/health/live").json == {"live": True}
    assert server.get("/v2/health/ready").json == {"ready": True}
    assert server.get("/v2/models/m/ready").json == {"name": "m", "ready": True}
    model = server.get("/v2/models/m").json
    assert model["versions"] == ["1"]
    assert model["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    assert server.get("/v2/models/m/versions/1").json == model
    server.app.ready = False
    assert server.get("/v2/health/ready").status == 503


def test_an_unknown_model_is_404_in_the_protocols_frame(serve: Serve) -> None:
    server = serve()
    for method, path in (("GET", ""), ("GET", "/ready"), ("POST", "/infer")):
        reply = server.send(method, f"/v2/models/other{path}", {} if method == "POST" else None)
        assert reply.status == 404
        assert list(reply.json) == ["error"]
        assert "'other'" in reply.json["error"]
        assert reply.headers["x-clouddeploy-error"] == "not_found"


def test_json_goes_in_and_out_with_id_and_version(serve: Serve) -> None:
    server = serve()
    reply = infer(server, tensor(data=[1, 2]), id="a-1")
    assert reply.json == {
        "model_name": "m",
        "model_version": "1",
        "id": "a-1",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [2.0, 4.0]}],
    }
    assert "id" not in infer(server, tensor(data=[1, 2])).json
    nested = infer(server, tensor(shape=(2, 2), data=[[1, 2], [3, 4]]))
    assert nested.json["outputs"][0]["data"] == [2, 4, 6, 8]


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name != "BYTES"])
def test_each_datatype_comes_back_bit_for_bit_as_json_and_as_bytes(serve: Serve, datatype: str) -> None:
    dtype = DATATYPES[datatype]
    server = serve(SAME, [("x", dtype, (None, 2))], [("y", dtype, (None, 2))])
    if dtype.startswith("float"):
        values = np.array([[1 / 3, -2.5]], dtype)
    elif dtype == "bool":
        values = np.array([[True, False]])
    else:
        values = np.array([[np.iinfo(dtype).min, np.iinfo(dtype).max]], dtype)
    plain = infer(server, tensor(datatype=datatype, data=values.reshape(-1).tolist()))
    assert plain.json["outputs"][0]["datatype"] == datatype
    assert np.array(plain.json["outputs"][0]["data"], dtype).tobytes() == values.tobytes()

    data = values.tobytes()
    sized = tensor(datatype=datatype, parameters={"binary_data_size": len(data)})
    reply = infer(server, sized, data=data, parameters={"binary_data_output": True})
    assert reply.headers["content-type"] == "application/octet-stream"
    head, rest = parts(reply)
    assert head["outputs"][0]["parameters"] == {"binary_data_size": len(data)}
    assert rest == data
    assert int(reply.headers[LENGTH]) % 64 == 0, "the tensor lies aligned"


def test_texts_go_as_json_and_as_bytes(serve: Serve) -> None:
    server = serve(SAME, [("x", "str", (None, 1))], [("y", "str", (None, 1))])
    assert infer(server, tensor("x", "BYTES", (1, 1), data=["grüße"])).json["outputs"][0]["data"] == ["grüße"]
    texts = [b"", "grüße".encode()]
    data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    sized = tensor("x", "BYTES", (2, 1), parameters={"binary_data_size": len(data)})
    head, rest = parts(
        infer(server, sized, data=data, outputs=[{"name": "y", "parameters": {"binary_data": True}}])
    )
    assert rest == data
    assert head["outputs"][0]["shape"] == [2, 1]


def test_bf16_is_read_as_float32(serve: Serve) -> None:
    data = (np.array([1.5, -2], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    sized = tensor(datatype="BF16", parameters={"binary_data_size": 4})
    assert infer(serve(), sized, data=data).json["outputs"][0]["data"] == [3, -4]


TWO = "def predict(x):\n    return {'sum': x['a'] + x['b'], 'flag': x['a'] > x['b']}\n"


def test_several_tensors_mix_json_and_bytes_and_outputs_are_chosen(serve: Serve) -> None:
    server = serve(TWO, [("a", "float64", (None,)), ("b", "int32", (None,))], [])
    data = np.array([1, 2], "<i4").tobytes()
    inputs = (
        tensor("b", "INT32", (2,), parameters={"binary_data_size": 8}),
        tensor("a", "FP64", (2,), data=[3, 1]),
    )
    both = infer(server, *inputs, data=data)
    assert {row["name"]: row["data"] for row in both.json["outputs"]} == {
        "sum": [4, 3],
        "flag": [True, False],
    }
    wanted = [{"name": "flag", "parameters": {"binary_data": True}}, {"name": "sum"}]
    head, rest = parts(infer(server, *inputs, data=data, outputs=wanted))
    assert [row["name"] for row in head["outputs"]] == ["flag", "sum"]
    assert rest == b"\x01\x00"
    refused = infer(server, *inputs, data=data, outputs=[{"name": "mean"}])
    assert refused.status == 400
    assert "'mean'" in refused.json["error"]


def test_a_handler_may_change_what_it_is_given(serve: Serve) -> None:
    server = serve("def predict(x):\n    x *= 3\n    return x\n")
    sized = tensor(parameters={"binary_data_size": 8})
    assert infer(server, sized, data=struct.pack("<2f", 1, 2)).json["outputs"][0]["data"] == [3, 6]


def test_nan_goes_as_bytes_but_never_as_json(serve: Serve) -> None:
    server = serve("def predict(x):\n    return x / 0\n")
    refused = infer(server, tensor(data=[0, 1]))
    assert refused.status == 500
    assert refused.headers["x-clouddeploy-error"] == "non_finite_prediction"
    assert infer(server, tensor(data=[0, 1]), parameters={"binary_data_output": True}).status == 200


GOOD = tensor(data=[1, 2])
BINARY = tensor(parameters={"binary_data_size": 8})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "no object"),
        ({}, "no list of tensors"),
        ({"inputs": []}, "no list of tensors"),
        ({"inputs": [1]}, "inputs[0] has no name"),
        ({"inputs": [GOOD, GOOD]}, "as another one is"),
        ({"inputs": [{**GOOD, "name": "z"}]}, "the model takes x"),
        ({"inputs": [{**GOOD, "datatype": "FLOAT"}]}, "datatype is 'FLOAT'"),
        ({"inputs": [{**GOOD, "datatype": None}]}, "datatype is 'None'"),
        ({"inputs": [{**GOOD, "shape": None}]}, "shape is no list"),
        ({"inputs": [{**GOOD, "shape": []}]}, "no example"),
        ({"inputs": [{**GOOD, "shape": [0, 2]}]}, "no example"),
        ({"inputs": [{**GOOD, "shape": [-1, 2]}]}, "shape is no list"),
        ({"inputs": [{**GOOD, "shape": [True, 2]}]}, "shape is no list"),
        ({"inputs": [{**GOOD, "shape": [1e3, 2]}]}, "shape is no list"),
        ({"inputs": [{**GOOD, "shape": [2**62, 2]}]}, "shape is no list"),
        ({"inputs": [{**GOOD, "shape": [2**39] * 30}]}, "can't be right"),
        ({"inputs": [{**GOOD, "shape": [1] * 40}]}, "can't be right"),
        ({"inputs": [{**GOOD, "shape": [1, 3]}]}, "has 2 values"),
        ({"inputs": [{**GOOD, "shape": [2, 1]}]}, "'x'"),
        ({"inputs": [{**GOOD, "data": [[1], [2]]}]}, "has shape [2, 1]"),
        ({"inputs": [{**GOOD, "data": [[1], 2]}]}, "no list"),
        ({"inputs": [{**GOOD, "data": ["a", 2]}]}, "expected a number"),
        ({"inputs": [{**GOOD, "data": []}]}, "no example"),
        ({"inputs": [{**GOOD, "data": None}]}, "data is no list"),
        ({"inputs": [{**GOOD, "parameters": 3}]}, "are no object"),
        ({"inputs": [BINARY]}, "Inference-Header-Content-Length"),
        ({"inputs": [GOOD], "id": 3}, "id is no text"),
        ({"inputs": [GOOD], "parameters": []}, "are no object"),
        ({"inputs": [GOOD], "parameters": {"binary_data_output": 1}}, "neither true nor false"),
        ({"inputs": [GOOD], "outputs": {}}, "outputs is no list"),
        ({"inputs": [GOOD], "outputs": [{}]}, "outputs[0] has no name"),
        ({"inputs": [GOOD], "outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "classific"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(serve: Serve, value: Any, says: str) -> None:
    reply = serve().post("/v2/models/m/infer", value)
    assert reply.status == 400
    assert says in reply.json["error"]


@pytest.mark.parametrize(
    ("length", "body", "says"),
    [
        ("x", b"{}", "Content-Length is 'x'"),
        ("-1", b"{}", "Content-Length is '-1'"),
        ("99", b"{}", "the body has 2 bytes"),
        ("0", b"12345678", "the body is empty"),
        ("size", b"1234567", "a binary_data_size of 8; 7 bytes are left"),
        ("size", b"123456789", "1 bytes follow"),
        ("4", json.dumps({"inputs": [BINARY]}).encode(), "line 1"),
    ],
)
def test_binary_tensors_that_dont_fit_are_refused(serve: Serve, length: str, body: bytes, says: str) -> None:
    text = json.dumps({"inputs": [BINARY]}).encode() if length == "size" else b""
    length = str(len(text)) if length == "size" else length
    reply = serve().send("POST", "/v2/models/m/infer", text + body, **{LENGTH: length})
    assert reply.status == 400
    assert says in reply.json["error"]


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "says"),
    [
        ("FP32", (1, 3), b"12345678", "has 12"),
        ("BOOL", (1, 2), b"\x00\x02", "neither 0 nor 1"),
        ("BYTES", (1, 2), b"\xff\xff\xff\xffabcd", "ends within text 0"),
        ("BYTES", (1, 1 << 30), b"", "for 1073741824 texts"),
        ("BYTES", (1, 1), b"\x00\x00\x00\x00z", "1 bytes after"),
        ("BYTES", (1, 1), b"\x01\x00\x00\x00\xff", "isn't UTF-8"),
    ],
)
def test_bytes_that_are_no_such_tensor_are_refused(
    serve: Serve, datatype: str, shape: tuple[int, ...], data: bytes, says: str
) -> None:
    sized = tensor(datatype=datatype, shape=shape, parameters={"binary_data_size": len(data)})
    reply = infer(serve(), sized, data=data)
    assert reply.status == 400
    assert says in reply.json["error"]
