"""Handlers that give their predictions bit by bit, over real connections."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.runtime import Service
from tests.unit.server_protocols.conftest import Serve, Server

COUNT = """
def predict(x):
    for factor in range(1, 4):
        yield x * factor
"""
ENDLESS = """
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TOLD = Path(__file__).with_name("told")

def predict(x):
    count = 0
    try:
        while True:
            count += 1
            yield x.repeat(int(x[0, 1]), axis=1)
            time.sleep(0.001)
    finally:
        TOLD.write_text(str(count))
"""
EVENTS = "text/event-stream"
BODY = {"input": [1, 2]}


def told(server: Server) -> Path:
    return server.app.settings.models / "code" / "app" / "told"


def wait_for(path: Path) -> str:
    """What stands in `path` once it is there."""
    end = time.monotonic() + 20
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"{path.name} didn't come"
        time.sleep(0.01)
    return path.read_text()


def test_events_carry_one_prediction_each_and_an_end(serve: Serve) -> None:
    reply = serve(COUNT).post("/predict", BODY, accept=EVENTS)
    assert reply.status == 200
    assert reply.headers["content-type"] == EVENTS
    assert reply.headers["transfer-encoding"] == "chunked"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.body.decode() == (
        'data: {"prediction":[1.0,2.0]}\n\ndata: {"prediction":[2.0,4.0]}\n\n'
        'data: {"prediction":[3.0,6.0]}\n\nevent: end\ndata: {"items":3}\n\n'
    )


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/x-ndjson"])
def test_without_events_each_prediction_is_a_line(serve: Serve, accept: str) -> None:
    reply = serve(COUNT).post("/predict", {"inputs": [[1, 2], [3, 4]]}, accept=accept)
    assert reply.headers["content-type"] == "application/x-ndjson"
    rows = [json.loads(line)["predictions"] for line in reply.body.splitlines()]
    assert rows == [[[1, 2], [3, 4]], [[2, 4], [6, 8]], [[3, 6], [9, 12]]]


def test_steps_around_predict_see_each_prediction(serve: Serve) -> None:
    steps = "\n\ndef preprocess(x):\n    return x + 1\n\n\ndef postprocess(y):\n    return -y\n"
    reply = serve(COUNT + steps).post("/invocations", BODY)
    assert reply.body.splitlines()[1] == b'{"prediction":[-4.0,-6.0]}'


def test_a_plain_model_streams_its_one_answer_when_asked(serve: Serve) -> None:
    reply = serve().post("/predict", BODY, accept=EVENTS)
    assert reply.body == b'data: {"prediction":[2.0,4.0]}\n\nevent: end\ndata: {"items":1}\n\n'


def test_a_function_may_return_a_generator_when_a_stream_is_asked_for(serve: Serve) -> None:
    server = serve("def predict(x):\n    return (x * n for n in (1, 2))\n")
    assert server.post("/predict", BODY, accept=EVENTS).body.count(b"data: ") == 3
    refused = server.post("/predict", BODY)
    assert refused.json["error"]["code"] == "bad_prediction"
    assert EVENTS in refused.json["error"]["fix"]


def test_bad_input_is_refused_before_the_stream_begins(serve: Serve) -> None:
    server = serve(COUNT)
    assert server.post("/predict", {"input": [1]}, accept=EVENTS).json["error"]["code"] == "bad_shape"
    assert server.post("/batch_predict", BODY, accept=EVENTS).status == 400


def test_a_failure_before_the_first_prediction_is_a_status(serve: Serve) -> None:
    reply = serve("def predict(x):\n    raise ValueError('secret')\n    yield x\n").post("/predict", BODY)
    assert reply.status == 500
    assert reply.json["error"]["code"] == "prediction_failed"
    assert b"secret" not in reply.body


@pytest.mark.parametrize("handler", ["raise ValueError('secret')", "yield x[0, 0]", "yield x / 0"])
def test_a_failure_on_the_way_is_the_last_event(serve: Serve, handler: str) -> None:
    server = serve(f"def predict(x):\n    yield x\n    {handler}\n")
    reply = server.post("/predict", BODY, accept=EVENTS)
    first, last, rest = reply.body.decode().split("\n\n")
    assert first == 'data: {"prediction":[1.0,2.0]}'
    assert last.startswith('event: error\ndata: {"error":{"code":')
    assert "secret" not in last
    assert not rest
    lines = server.post("/predict", BODY).body.splitlines()
    assert list(json.loads(lines[-1])) == ["error"]
    assert server.post("/predict", BODY).status == 200, "the connection and the server go on"


def test_a_client_that_leaves_closes_the_generator(serve: Serve) -> None:
    server = serve(ENDLESS)
    body = json.dumps(BODY).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    assert int(wait_for(told(server))) >= 1


def test_a_client_that_reads_nothing_stops_the_model(serve: Serve) -> None:
    server = serve(ENDLESS, [("x", "float32", (None, 2))], [])
    body = json.dumps({"input": [1, 50_000]}).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(
            b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        time.sleep(0.1)
        assert server.post("/predict", {"input": [1]}).status == 400, "others are answered meanwhile"
    # A few hundred kB of buffers hold one or two predictions of half a MB.
    assert int(wait_for(told(server))) < 20


def test_streams_are_bounded(serve: Serve) -> None:
    server = serve(ENDLESS, streams=1)
    body = json.dumps(BODY).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        client.recv(1000)
        refused = server.post("/predict", BODY)
        assert refused.status == 503
        assert refused.headers["retry-after"]
    wait_for(told(server))


def test_http_1_0_gets_events_until_the_connection_ends(serve: Serve) -> None:
    server = serve(COUNT)
    body = json.dumps(BODY).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        head = b"POST /predict HTTP/1.0\r\naccept: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(
            body
        )
        client.sendall(head + body)
        got = b""
        while data := client.recv(65_536):
            got += data
    assert b"transfer-encoding" not in got
    assert got.endswith(b'event: end\ndata: {"items":3}\n\n')


def test_where_nothing_streams_a_generator_is_refused_with_what_to_do() -> None:
    def predict(x: Any) -> Iterator[Any]:
        yield x

    answer = Service(predict).answer(b'{"input": [1, 2]}')
    assert answer.status == 500
    assert json.loads(answer.body)["error"]["code"] == "bad_prediction"
    assert EVENTS in json.loads(answer.body)["error"]["fix"]
