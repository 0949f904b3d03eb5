"""The front speaks HTTP/1.1 to the byte, and survives those who don't."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.emulator.http.listener import Listener
from clouddeploy.emulator.http.message import BadMessage, Request, Response, read_chunked
from clouddeploy.emulator.http.upstream import Unreachable, Upstream


def echo(request: Request) -> Response:
    """Tells what arrived."""
    if request.path == "/fail":
        raise RuntimeError("secret detail")
    if request.path == "/none":
        return Response(204)
    headers = [("X-Method", request.method), ("X-Host", request.headers.get("host", ""))]
    return Response(200, headers, request.body or request.path.encode())


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A listener that echoes."""
    listener = Listener(echo)
    listener.start()
    yield listener.port
    listener.stop()


@contextmanager
def talk(port: int) -> Iterator[socket.socket]:
    """A raw connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def everything(connection: socket.socket) -> bytes:
    """All bytes until the peer closes."""
    found = b""
    while piece := connection.recv(65_536):
        found += piece
    return found


def framed(body: bytes, sizes: list[int]) -> bytes:
    """`body` in chunks of these sizes, the rest in one."""
    out = b""
    for size in sizes:
        piece, body = body[:size], body[size:]
        out += b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) if piece else b""
    return out + (b"%X\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\nTrailer: x\r\n\r\n"


@given(
    body=st.binary(max_size=300), sizes=st.lists(st.integers(1, 50), max_size=8), rest=st.binary(max_size=20)
)
def test_a_chunked_body_is_put_together_and_nothing_after_it_is_eaten(
    body: bytes, sizes: list[int], rest: bytes
) -> None:
    stream = io.BytesIO(framed(body, sizes) + rest)
    assert read_chunked(stream) == body
    assert stream.read() == rest


@pytest.mark.parametrize("text", [b"zz\r\n", b"5\r\nab", b"-1\r\n\r\n", b""])
def test_a_broken_chunk_is_an_error(text: bytes) -> None:
    with pytest.raises(BadMessage):
        read_chunked(io.BytesIO(text))


def test_several_requests_use_one_connection_and_close_is_honoured(port: int) -> None:
    with talk(port) as connection:
        connection.sendall(
            b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n"
            b"POST /two HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n"
            + framed(b"hello", [2])
            + b""
            b"HEAD /three HTTP/1.1\r\nHost: c\r\n\r\n"
            b"DELETE /none HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
        )
        found = everything(connection)
    assert found.count(b"HTTP/1.1 200 OK") == 3
    assert b"\r\n\r\n/one" in found
    assert b"\r\n\r\nhello" in found
    assert b"/three" not in found
    assert b"Content-Length: 6" in found
    assert found.endswith(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


def test_a_client_that_waits_to_continue_is_told_to(port: int) -> None:
    with talk(port) as connection:
        connection.sendall(
            b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
            b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"data")
        assert everything(connection).endswith(b"data")


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n",
        b"\x16\x03\x01\x00",
    ],
)
def test_who_speaks_no_http_is_dropped_and_others_are_served_still(port: int, text: bytes) -> None:
    with talk(port) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection) == b""
    upstream = Upstream(port)
    assert upstream.send("GET", "/still", timeout_s=10).body == b"/still"
    upstream.close()


def test_a_failure_inside_is_a_500_without_its_details(port: int) -> None:
    upstream = Upstream(port)
    answer = upstream.send("GET", "/fail", timeout_s=10)
    assert answer.status == 500
    assert json.loads(answer.body)["__type"] == "InternalFailure"
    assert b"secret" not in answer.body
    assert upstream.send("GET", "/again", timeout_s=10).status == 200
    upstream.close()


def test_an_upstream_that_is_gone_is_told_apart_from_a_slow_one() -> None:
    listener = Listener(echo)
    listener.start()
    upstream = Upstream(listener.port)
    assert upstream.send("POST", "/a", body=b"x" * 200_000, timeout_s=10).body == b"x" * 200_000
    listener.stop()
    with pytest.raises(Unreachable):
        upstream.send("POST", "/a", timeout_s=10)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        Upstream(silent.getsockname()[1]).send("GET", "/", timeout_s=0.05)


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 2),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", 1),
        (b"HTTP/1.0 200 OK\r\n\r\nok", 2),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1),
        (b"HTTP/1.1 200 OK\r\n\r\nok", 2),
    ],
)
def test_a_connection_is_used_again_only_where_the_answer_says_that_it_stays(
    answer: bytes, connections: int
) -> None:
    made = []

    def serve(server: socket.socket) -> None:
        for _ in range(connections):
            peer, _ = server.accept()
            made.append(peer)
            with peer, peer.makefile("rb") as stream:
                for _ in range(2 // connections):
                    while stream.readline() not in (b"\r\n", b""):
                        continue
                    peer.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        upstream = Upstream(server.getsockname()[1], resend=False)
        assert [upstream.send("GET", "/", timeout_s=10).body for _ in range(2)] == [b"ok", b"ok"]
        upstream.close()
        thread.join(10)
    assert len(made) == connections
