"""What a client may do, and what comes back."""

from __future__ import annotations

import json
import socket

import pytest

from tests.unit.server_http.rig import GET, LARGE, Server, server

OK = b'{"status":"ok"}'


def later(number: int) -> bytes:
    return b"GET /later?%d HTTP/1.1\r\nhost: x\r\n\r\n" % number


def test_pipelined_requests_are_answered_in_their_order(shared: Server) -> None:
    client = shared.client()
    client.send(b"".join(later(n) + GET for n in range(20)))
    for number in range(20):
        assert client.answer().body == b"%d" % number
        assert client.answer().body == OK


def test_what_was_asked_before_pipelined_garbage_is_answered(shared: Server) -> None:
    client = shared.client()
    client.send(GET + later(1) + b"\x00\x01garbage\r\n\r\n" + GET)
    assert client.answer().body == OK
    assert client.answer().body == b"1"
    assert client.answer().status == 400
    client.sock.shutdown(socket.SHUT_WR)
    assert client.closed


def test_a_thousand_pipelined_requests_don_t_deepen_the_stack(shared: Server) -> None:
    client = shared.client()
    client.send(GET * 3000)
    assert all(client.answer().body == OK for _ in range(3000))


def test_http_1_0_is_closed_unless_the_client_asks_otherwise(shared: Server) -> None:
    client = shared.client()
    answer = client.ask(b"GET /static HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
    assert (answer.body, answer.headers["connection"]) == (OK, "keep-alive")
    answer = client.ask(b"GET /static HTTP/1.0\r\n\r\n")
    assert (answer.body, answer.headers["connection"]) == (OK, "close")
    assert client.closed


def test_a_client_that_asks_for_the_end_gets_it(shared: Server) -> None:
    client = shared.client()
    assert client.ask(b"GET /static HTTP/1.1\r\nhost: x\r\nConnection: foo, Close\r\n\r\n").status == 200
    assert client.closed


def test_a_stream_to_http_1_0_ends_with_the_connection(shared: Server) -> None:
    client = shared.client()
    client.send(b"GET /stream HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
    whole = client.rest()
    assert b"transfer-encoding" not in whole
    assert whole.endswith(b"part 0\npart 1\npart 2\n")


def test_the_answer_to_head_has_the_length_and_no_body(shared: Server) -> None:
    client = shared.client()
    client.send(b"HEAD /static HTTP/1.1\r\nhost: x\r\n\r\n" + GET)
    assert client.answer(bodiless=True).headers["content-length"] == "15"
    assert client.answer().body == OK


def test_a_stream_answers_head_without_a_body(shared: Server) -> None:
    client = shared.client()
    client.send(b"HEAD /stream HTTP/1.1\r\nhost: x\r\n\r\n" + GET)
    assert client.answer(bodiless=True).headers["transfer-encoding"] == "chunked"
    assert client.answer().body == OK


def test_204_has_no_length(shared: Server) -> None:
    client = shared.client()
    answer = client.ask(b"GET /empty HTTP/1.1\r\nhost: x\r\n\r\n")
    assert answer.status == 204
    assert "content-length" not in answer.headers
    assert client.ask(GET).body == OK


def test_a_stream_comes_in_chunks_and_the_connection_stays(shared: Server) -> None:
    client = shared.client()
    assert client.ask(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n").body == b"part 0\npart 1\npart 2\n"
    assert client.ask(GET).body == OK


def test_a_stream_whose_endpoint_fails_is_cut(shared: Server) -> None:
    client = shared.client()
    client.send(b"GET /torn HTTP/1.1\r\nhost: x\r\n\r\n")
    assert not client.rest().endswith(b"0\r\n\r\n")


def test_a_client_that_waits_for_continue_is_told_to(shared: Server) -> None:
    client = shared.client()
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
    assert client.ask(head).status == 100
    assert client.ask(b"abc").body == b"abc"
    client.send(head + b"abc")
    assert client.answer().status == 200, "who sends the body at once needs no permission"


def test_a_client_that_waits_for_continue_with_too_much_is_refused_before_it_sends(shared: Server) -> None:
    client = shared.client()
    head = b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9999999\r\n\r\n"
    assert client.ask(head).status == 413


def test_who_sends_too_much_can_read_why(shared: Server) -> None:
    for head in (b"content-length: 8000000", b"transfer-encoding: chunked"):
        client = shared.client()
        client.send(
            b"POST /echo HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n\r\n", b"7a1200\r\n", b"x" * 8_000_000
        )
        answer = client.answer()
        assert (answer.status, answer.code) == (413, "too_large")
        client.sock.shutdown(socket.SHUT_WR)
        assert client.closed


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/told", "/told", ""),
        (b"http://x/told?a=b", "/told", "a=b"),
        (b"HTTP://user@x:80/told", "/told", ""),
        (b"/%74old?a%20b", "/told", "a%20b"),
        (b"/told?", "/told", ""),
        (b"/told?a?b", "/told", "a?b"),
    ],
)
def test_targets_are_understood(shared: Server, target: bytes, path: str, query: str) -> None:
    told = json.loads(shared.ask(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % target).body)
    assert (told["path"], told["query"]) == (path, query)


def test_headers_keep_their_bytes_and_several_are_joined(shared: Server) -> None:
    head = b"GET /told HTTP/1.1\r\nHost: [::1]:80\r\nX-A: one\r\nx-a:\ttwo \r\nx-b: \xe9\xff\r\nx-c:\r\n\r\n"
    told = json.loads(shared.ask(head).body)["headers"]
    assert told == {"host": "[::1]:80", "x-a": "one, two", "x-b": "éÿ", "x-c": ""}


def test_an_offer_to_upgrade_is_left_alone(shared: Server) -> None:
    client = shared.client()
    more = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
    assert client.ask(b"GET /static HTTP/1.1\r\nhost: x\r\n" + more + b"\r\n").body == OK
    post = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n" + more + b"\r\nabc"
    assert client.ask(post).body == b"abc"


def test_empty_lines_before_a_request_mean_nothing(shared: Server) -> None:
    client = shared.client()
    assert client.ask(b"\r\n\r\n\r\n" + GET).body == OK
    assert client.ask(b"\r\n", GET).body == OK


def test_a_huge_head_is_refused(shared: Server) -> None:
    line = b"x: " + b"a" * 1000 + b"\r\n"
    assert shared.ask(b"GET /static HTTP/1.1\r\n" + line * 40).status == 431
    assert shared.ask(b"GET /static HTTP/1.1\r\nhost: x\r\n" + line * 40 + b"\r\n").status == 431
    assert shared.ask(b"GET /" + b"a" * 40_000).status == 431
    assert shared.ask(b"GET /static HTTP/1.1\r\nhost: x\r\n" + b"x: a\r\n" * 200 + b"\r\n").status == 431


def test_options_of_everything_isn_t_confused_with_a_path(shared: Server) -> None:
    assert shared.ask(b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n").status == 404


def test_a_half_closed_client_gets_all_it_asked_for(shared: Server) -> None:
    client = shared.client()
    client.send(GET * 50)
    client.sock.shutdown(socket.SHUT_WR)
    assert client.rest().count(OK) == 50


def test_a_half_closed_client_that_asked_for_half_gets_nothing(shared: Server) -> None:
    client = shared.client()
    client.send(GET + GET[:20])
    client.sock.shutdown(socket.SHUT_WR)
    assert client.rest().count(OK) == 1


def test_a_client_that_leaves_while_it_waits_is_noticed() -> None:
    with server() as found:
        client = found.client()
        client.send(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
        found.until(lambda: len(found.app.slow) == 1)
        client.close()
        found.until(lambda: not found.app.slow and not found.app.connections)


def test_a_large_answer_arrives_whole(shared: Server) -> None:
    client = shared.client()
    assert client.ask(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").body == b"x" * LARGE
    assert client.ask(GET).body == OK


def test_a_failing_watcher_keeps_no_answer_from_its_client() -> None:
    def watch(exchange: object, response: object) -> None:
        raise ValueError("the watcher fails")

    with server() as found:
        found.app.after.append(watch)
        client = found.client()
        assert client.ask(GET).body == OK
        assert client.ask(GET).body == OK


def test_answers_carry_the_date(shared: Server) -> None:
    assert shared.ask(GET).headers["date"].endswith("GMT")
