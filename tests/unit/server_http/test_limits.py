"""Clients that are slow, many, or send and take without end."""

from __future__ import annotations

import socket
import time

import pytest

from tests.unit.server_http.rig import GET, LARGE, Client, Server, server

QUICK = {"head_timeout_s": 0.05, "idle_timeout_s": 0.05, "write_timeout_s": 0.05}


def drip(client: Client, data: bytes, pause_s: float = 0.005) -> None:
    """Send a byte at a time until the server has had enough."""
    client.sock.setblocking(False)
    for at in range(len(data)):
        try:
            client.sock.send(data[at : at + 1])
        except (BrokenPipeError, ConnectionResetError):
            break
        if client.sock.fileno() < 0 or _readable(client):
            break
        time.sleep(pause_s)
    client.sock.settimeout(20)


def _readable(client: Client) -> bool:
    try:
        return bool(client.sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


def test_a_head_that_comes_byte_by_byte_is_cut_off() -> None:
    with server(**QUICK) as found:
        client = found.client()
        drip(client, b"GET /static HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 4000)
        assert client.answer().code == "too_slow"


def test_empty_lines_byte_by_byte_keep_no_connection() -> None:
    with server(**QUICK) as found:
        client = found.client()
        client.send(b"\r\n")
        assert client.closed


@pytest.mark.parametrize("head", [b"content-length: 4000", b"transfer-encoding: chunked"])
def test_a_body_that_comes_byte_by_byte_is_cut_off(head: bytes) -> None:
    with server(**QUICK) as found:
        client = found.client()
        client.send(b"POST /echo HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n\r\n")
        drip(client, b"fa0\r\n" + b"a" * 3000)
        assert client.answer().code == "too_slow"


@pytest.mark.parametrize("head", [b"content-length: 300000", b"transfer-encoding: chunked"])
def test_a_long_body_has_more_time(head: bytes) -> None:
    chunked = b"chunked" in head
    with server(**QUICK, slowest_bytes_per_s=200_000) as found:
        client = found.client()
        client.send(b"POST /echo HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n\r\n")
        if chunked:
            client.send(b"493e0\r\n")
        for _ in range(30):
            client.send(b"x" * 10_000)
            time.sleep(0.005)
        client.send(b"\r\n0\r\n\r\n" if chunked else b"")
        assert len(client.answer().body) == 300_000


def test_chunks_for_ever_end_at_the_limit() -> None:
    with server(body_limit=1 << 20) as found:
        client = found.client()
        client.send(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        client.send(*[b"1000\r\n" + b"x" * 4096 + b"\r\n"] * 300)
        assert client.answer().code == "too_large"
        assert found.call(lambda: found.app.held) == 0


def test_a_body_that_arrives_with_its_head_has_the_same_limit() -> None:
    with server(body_limit=10) as found:
        client = found.client()
        client.send(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\n" + b"x" * 11)
        assert client.answer().code == "too_large"
        client = found.client()
        client.send(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n" + b"x" * 10)
        assert client.answer().body == b"x" * 10


def test_an_idle_connection_is_closed() -> None:
    with server(**QUICK) as found:
        client = found.client()
        assert client.ask(GET).status == 200
        assert client.closed
        assert found.client().closed, "also one that never asked"


def test_a_client_that_doesn_t_take_its_answer_is_cut_off() -> None:
    with server(**QUICK) as found:
        client = found.client(receive=4096)
        client.send(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        found.until(lambda: len(found.app.connections) == 1)
        found.until(lambda: not found.app.connections)


def test_a_client_that_takes_its_answer_slowly_but_steadily_gets_it() -> None:
    with server(**{**QUICK, "write_timeout_s": 1}, slowest_bytes_per_s=1_000_000) as found:
        client = found.client(receive=1 << 16)
        client.send(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        while len(client.left) < LARGE // 2:
            client.left += client.sock.recv(1 << 18)
            time.sleep(0.001)
        assert len(client.answer().body) == LARGE


def test_who_pipelines_without_reading_fills_no_memory() -> None:
    with server(write_timeout_s=30) as found:
        client = found.client(receive=4096)
        client.send(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n" * 100)
        found.until(lambda: any(one._deaf for one in found.app.connections))
        (connection,) = found.app.connections
        waiting = found.call(lambda: connection._transport.get_write_buffer_size())
        assert waiting <= LARGE + 1000, "no second answer is made before the first is taken"
        assert client.answer().body == b"x" * LARGE
        assert client.answer().body == b"x" * LARGE


def test_what_is_sent_ahead_is_bounded() -> None:
    with server() as found:
        client = found.client()
        client.send(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
        client.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.sock.sendall(b"x" * (64 << 20))
        (connection,) = found.app.connections
        assert found.call(lambda: len(connection._buffer)) < 1 << 20


def test_bodies_of_all_clients_together_are_bounded() -> None:
    with server(bodies_limit=1 << 20) as found:
        clients = [found.client() for _ in range(3)]
        for client in clients:
            client.send(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 700000\r\n\r\n")
        clients[0].send(b"x" * 600_000)
        found.until(lambda: found.app.held == 600_000)
        clients[1].send(b"x" * 600_000)
        answer = clients[1].answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        clients[0].send(b"x" * 100_000)
        assert clients[0].answer().status == 200
        found.until(lambda: found.app.held == 0)
        clients[2].send(b"x" * 700_000)
        assert clients[2].answer().status == 200


def test_the_body_of_who_leaves_is_forgotten() -> None:
    with server() as found:
        client = found.client()
        client.send(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 700000\r\n\r\n" + b"x" * 1000)
        found.until(lambda: found.app.held == 1000)
        client.close()
        found.until(lambda: found.app.held == 0)


def _age(found: Server) -> None:
    """Let every connection be idle for long."""
    for connection in found.app.connections:
        connection.since -= 10


def test_those_idle_for_longest_make_room() -> None:
    with server(max_connections=20) as found:
        clients = [found.client() for _ in range(20)]
        assert all(client.ask(GET).status == 200 for client in clients)
        found.call(lambda: _age(found))
        clients[0].ask(GET)
        assert found.client().ask(GET).status == 200
        assert clients[0].ask(GET).status == 200, "it was used lately"
        assert found.call(lambda: len(found.app.connections)) == 20


def test_when_all_are_busy_a_newcomer_is_refused_at_once() -> None:
    with server(max_connections=5) as found:
        clients = [found.client() for _ in range(5)]
        for client in clients:
            client.send(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
        found.until(lambda: len(found.app.slow) == 5)
        answer = found.client().answer()
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "overloaded", "1")
        clients[0].close()
        found.until(lambda: len(found.app.slow) == 4)
        found.until(lambda: len(found.app.connections) < 6)


def test_hundreds_of_idle_connections_keep_nobody_waiting() -> None:
    with server() as found:
        idle = [found.client() for _ in range(500)]
        found.until(lambda: len(found.app.connections) == 500)
        assert found.ask(GET).status == 200
        assert all(client.ask(GET).status == 200 for client in idle[::50])
