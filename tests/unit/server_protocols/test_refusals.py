"""Each protocol has its own form of a refusal, whoever refuses: a guard, a limit, the router or a bug."""

from __future__ import annotations

import gzip
import socket
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.server.guards.api_keys import add
from tests.unit.server_protocols.conftest import Reply, Serve, Server

TF, V2, WIRE = "/v1/models/m:predict", "/v2/models/m/infer", "/predict"
BODIES: dict[str, Any] = {
    TF: {"instances": [[1, 2]]},
    V2: {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]},
    WIRE: {"input": [1, 2]},
}


def check(path: str, reply: Reply, status: int, code: str) -> None:
    """Refused in the form of the path's protocol."""
    assert reply.status == status, reply.body
    if path == WIRE or not path.startswith(("/v1/models", "/v2")):
        assert reply.json["error"]["code"] == code
        return
    assert isinstance(reply.json["error"], str)
    assert list(reply.json) == ["error"]
    assert reply.headers["x-clouddeploy-error"] == code


@pytest.mark.parametrize("path", BODIES)
def test_who_has_no_credentials_is_refused_in_the_protocol_s_own_form(
    serve: Serve, tmp_path: Path, path: str
) -> None:
    key = add(tmp_path / "keys.json", "a")
    server = serve(api_keys=tmp_path / "keys.json")
    refused = server.post(path, BODIES[path])
    check(path, refused, 401, "unauthorized")
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert server.post(path, BODIES[path], x_api_key=key).status == 200
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n"
    check(path, by_hand(server, head), 401, "unauthorized")  # before the body has come


def by_hand(server: Server, head: str, body: bytes = b"") -> Reply:
    """The answer to bytes after which nothing more is sent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(head.encode() + body)
        data = b""
        while part := sock.recv(1 << 16):
            data += part
    lines, _, content = data.partition(b"\r\n\r\n")
    first, *rows = lines.decode().split("\r\n")
    return Reply(int(first.split()[1]), content, dict(row.split(": ", 1) for row in rows))


@pytest.mark.parametrize("path", BODIES)
def test_who_asks_too_often_is_refused_in_the_protocol_s_own_form(serve: Serve, path: str) -> None:
    server = serve(rate=0.1, burst=1)
    assert server.post(path, BODIES[path]).status == 200
    refused = server.post(path, BODIES[path])
    check(path, refused, 429, "rate_limited")
    assert 9 <= int(refused.headers["retry-after"]) <= 10


@pytest.mark.parametrize("path", BODIES)
def test_too_large_a_request_is_refused_in_the_protocol_s_own_form(serve: Serve, path: str) -> None:
    server = serve(max_elements=1, body_limit=200)
    check(path, server.post(path, BODIES[path]), 413, "too_large")
    check(path, server.post(path, b" " * 400_000), 413, "too_large")
    chunked = f"POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    check(path, by_hand(server, chunked, b"200\r\n" + b" " * 0x200 + b"\r\n"), 413, "too_large")


@pytest.mark.parametrize("path", BODIES)
def test_a_compressed_body_is_refused_in_the_protocol_s_own_form(serve: Serve, path: str) -> None:
    server = serve(inflate=True)
    data = gzip.compress(b'{"instances":[[1,2]]}')
    check(path, server.post(path, data[:-4], content_encoding="gzip"), 400, "bad_request")
    refused = server.post(path, data, content_encoding="br")
    check(path, refused, 415, "unsupported_media_type")
    assert "gzip" in refused.headers["accept-encoding"]


@pytest.mark.parametrize("path", BODIES)
def test_while_too_many_wait_it_is_refused_in_the_protocol_s_own_form(serve: Serve, path: str) -> None:
    import threading

    slow = "import time\ndef predict(x):\n    time.sleep(0.3)\n    return x\n"
    server = serve(slow, queue=1, max_batch=1)
    found: list[Reply] = []
    asking = [
        threading.Thread(target=lambda: found.append(server.post(path, BODIES[path]))) for _ in range(6)
    ]
    for one in asking:
        one.start()
    for one in asking:
        one.join(20)
    refused = [one for one in found if one.status == 503]
    assert refused
    check(path, refused[0], 503, "overloaded")


@pytest.mark.parametrize("path", ["/v1/models/m:nothing", "/v2/models/m/nothing", "/nothing"])
def test_what_isn_t_there_is_refused_in_the_protocol_s_own_form(serve: Serve, path: str) -> None:
    server = serve()
    check(path, server.post(path, {}), 404, "not_found")


@pytest.mark.parametrize("path", BODIES)
def test_a_method_that_isn_t_taken_is_refused_in_the_protocol_s_own_form(serve: Serve, path: str) -> None:
    refused = serve().send("DELETE", path)
    check(path, refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"


@pytest.mark.parametrize("path", BODIES)
def test_a_bug_of_ours_is_told_in_the_protocol_s_own_form(serve: Serve, path: str) -> None:
    server = serve()

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug")

    server.app.before.append(broken)
    check(path, server.post(path, BODIES[path]), 500, "prediction_failed")


def test_what_isn_t_a_request_is_refused_in_our_own_form(serve: Serve) -> None:
    assert by_hand(serve(), "POST /v2/models\r\n\r\n").json["error"]["code"] == "bad_request"
