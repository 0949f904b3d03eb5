"""The V2 protocol over gRPC, by a client of its own messages and by one of hand-written bytes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.message import Response
from clouddeploy.server.protocols.grpc_messages import METHODS, SERVICE, messages
from clouddeploy.server.protocols.tensors import DATATYPES
from tests.unit.server_protocols.conftest import Serve, Server

grpc = pytest.importorskip("grpc")
SAME = "def predict(x):\n    return x\n"


class Client:
    """Calls by name."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def call(self, name: str, /, timeout: float = 20, metadata: Any = (), **fields: Any) -> Any:
        known = messages()
        method = self.channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=known[f"{name}Request"].SerializeToString,
            response_deserializer=known[f"{name}Response"].FromString,
        )
        return method(known[f"{name}Request"](**fields), timeout=timeout, metadata=metadata)

    def refused(self, name: str, /, **fields: Any) -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            self.call(name, **fields)
        return caught.value


Connect = Callable[..., tuple[Server, Client]]


@pytest.fixture
def connect(serve: Serve) -> Iterator[Connect]:
    clients: list[Client] = []

    def start(*arguments: Any) -> tuple[Server, Client]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = serve(*arguments, grpc_port=port)
        clients.append(Client(port))
        return server, clients[-1]

    yield start
    for client in clients:
        client.channel.close()


def tensor(datatype: str = "FP32", shape: Any = (1, 2), **contents: Any) -> dict[str, Any]:
    found = {"name": "x", "datatype": datatype, "shape": list(shape)}
    return {**found, "contents": contents} if contents else found


def test_the_server_and_its_models_describe_themselves(connect: Connect) -> None:
    server, client = connect()
    assert set(METHODS) == {name.removesuffix("Request") for name in messages() if name.endswith("Request")}
    assert client.call("ServerLive").live
    assert client.call("ServerReady").ready
    assert client.call("ModelReady", name="m").ready
    assert client.call("ServerMetadata").name == "clouddeploy"
    model = client.call("ModelMetadata", name="m", version="1")
    assert (model.name, list(model.versions)) == ("m", ["1"])
    assert [(one.name, one.datatype, list(one.shape)) for one in model.inputs] == [("x", "FP32", [-1, 2])]
    server.app.ready = False
    assert not client.call("ServerReady").ready


def test_typed_contents_are_answered_typed_and_raw_ones_raw(connect: Connect) -> None:
    _, client = connect()
    typed = client.call("ModelInfer", model_name="m", id="a", inputs=[tensor(fp32_contents=[1, 2])])
    assert (typed.model_name, typed.model_version, typed.id) == ("m", "1", "a")
    assert list(typed.outputs[0].contents.fp32_contents) == [2, 4]
    assert not typed.raw_output_contents
    raw = np.array([1, 2], "<f4").tobytes()
    answered = client.call("ModelInfer", model_name="m", inputs=[tensor()], raw_input_contents=[raw])
    assert answered.raw_output_contents[0] == np.array([2, 4], "<f4").tobytes()
    chosen = client.call(
        "ModelInfer", model_name="m", inputs=[tensor(fp32_contents=[1, 2])], outputs=[{"name": "y"}]
    )
    assert [one.name for one in chosen.outputs] == ["y"]


@pytest.mark.parametrize("datatype", list(DATATYPES))
def test_each_datatype_comes_back(connect: Connect, datatype: str) -> None:
    from clouddeploy.server.protocols.grpc import CONTENTS

    dtype = DATATYPES[datatype]
    rows = [("x", dtype, (None, 2))]
    _, client = connect(SAME, rows, rows)
    if datatype == "BYTES":
        values: list[Any] = [b"", "grüße".encode()]
        raw = b"\0\0\0\0" + len(values[1]).to_bytes(4, "little") + values[1]
    else:
        values = [True, False] if dtype == "bool" else [1, 100]
        raw = np.array(values, dtype).tobytes()
    answered = client.call("ModelInfer", model_name="m", inputs=[tensor(datatype)], raw_input_contents=[raw])
    assert answered.outputs[0].datatype == datatype
    assert answered.raw_output_contents[0] == raw
    if datatype in CONTENTS:
        sent = tensor(datatype, **{CONTENTS[datatype]: values})
        typed = client.call("ModelInfer", model_name="m", inputs=[sent])
        assert list(getattr(typed.outputs[0].contents, CONTENTS[datatype])) == values


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "no inputs"),
        ({"inputs": [tensor()]}, "0 values"),
        ({"inputs": [tensor("FP16", fp32_contents=[1, 2])]}, "'FP16'"),
        ({"inputs": [tensor("NONE")]}, "'NONE'"),
        ({"inputs": [tensor("INT8", int_contents=[1, 300])]}, "out of range for int8"),
        ({"inputs": [tensor("BYTES", bytes_contents=[b"\xff", b""])]}, "isn't UTF-8"),
        ({"inputs": [tensor(shape=(-1, 2), fp32_contents=[1])]}, "shape is no list"),
        ({"inputs": [tensor(shape=(), fp32_contents=[1])]}, "no example"),
        ({"inputs": [tensor(shape=(2, 1), fp32_contents=[1, 2])]}, "'x'"),
        ({"inputs": [tensor(fp32_contents=[1, 2])] * 2}, "as another one is"),
        ({"inputs": [{**tensor(fp32_contents=[1, 2]), "name": "z"}]}, "the model takes x"),
        ({"inputs": [tensor()], "raw_input_contents": [b"1234"]}, "has 4 bytes"),
        ({"inputs": [tensor()], "raw_input_contents": [b"12345678"] * 2}, "2 raw contents"),
        ({"inputs": [tensor(fp32_contents=[1])], "raw_input_contents": [b"12345678"]}, "beside the raw"),
        ({"inputs": [tensor(fp32_contents=[1, 2])], "outputs": [{"name": "mean"}]}, "'mean'"),
    ],
)
def test_what_is_wrong_is_told(connect: Connect, fields: dict[str, Any], says: str) -> None:
    _, client = connect()
    error = client.refused("ModelInfer", model_name="m", **fields)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert says in error.details()


def test_an_unknown_model_and_a_broken_message_are_refused(connect: Connect) -> None:
    _, client = connect()
    for name, field in (("ModelReady", "name"), ("ModelMetadata", "name"), ("ModelInfer", "model_name")):
        error = client.refused(name, **{field: "other"})
        assert error.code() == grpc.StatusCode.NOT_FOUND
        assert ("x-clouddeploy-error", "not_found") in [tuple(pair) for pair in error.trailing_metadata()]
    with pytest.raises(grpc.RpcError):
        client.channel.unary_unary(f"/{SERVICE}/ModelInfer")(b"\xff\xff\xff", timeout=20)
    assert client.call("ServerLive").live


def test_a_model_that_fails_is_internal(connect: Connect) -> None:
    _, client = connect("def predict(x):\n    raise ValueError('secret')\n")
    error = client.refused("ModelInfer", model_name="m", inputs=[tensor(fp32_contents=[1, 2])])
    assert error.code() == grpc.StatusCode.INTERNAL
    assert "secret" not in error.details()


def test_a_model_that_gives_its_predictions_bit_by_bit_is_not_for_this_protocol(connect: Connect) -> None:
    _, client = connect("def predict(x):\n    yield x\n")
    error = client.refused("ModelInfer", model_name="m", inputs=[tensor(fp32_contents=[1, 2])])
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "bit by bit" in error.details()


def test_guards_see_calls_as_requests_of_v2(connect: Connect) -> None:
    server, client = connect()
    seen: list[tuple[str, str]] = []
    told: list[int] = []

    def guard(exchange: Any) -> Response | None:
        seen.append((exchange.request.method, exchange.request.path))
        if exchange.request.headers.get("authorization") == "Bearer k":
            return None
        raise WireError("unauthorized", "no key", "send one")

    server.app.before.append(guard)
    server.app.after.append(lambda exchange, response: told.append(response.status))
    body: dict[str, Any] = {"model_name": "m", "inputs": [tensor(fp32_contents=[1, 2])]}
    assert client.refused("ModelInfer", **body).code() == grpc.StatusCode.UNAUTHENTICATED
    assert client.call("ModelInfer", metadata=(("authorization", "Bearer k"),), **body).outputs
    assert client.refused("ServerLive").code() == grpc.StatusCode.UNAUTHENTICATED
    assert seen == [("POST", "/v2/models/m/infer")] * 2 + [("GET", "/v2/health/live")]
    assert told == [401, 200, 401]
