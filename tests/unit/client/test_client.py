"""Clients against a server that answers as it should, and one that doesn't."""

from __future__ import annotations

import socket
import threading
from typing import Any

import numpy as np
import pytest

from clouddeploy import errors
from clouddeploy.client import Breaker, Client, Retries, Timeouts
from clouddeploy.runtime import npy
from tests.unit.client.conftest import Hands
from tests.unit.client.misbehaving import Server, answering, dropping, refusing, resetting, saying

GOOD = answering({"predictions": [[1.5, 2.0]]})
NPY = answering(raw=npy.write(np.float32([[7, 8]])), headers={"content-type": "application/x-npy"})
HTML = answering(raw=b"<html>bad gateway</html>", status=502)


def test_arrays_go_as_npy_and_come_back_as_arrays(connect: Any) -> None:
    with Server([NPY]) as server:
        found = connect(server.url).predict(np.float32([[1, 2]]))
        (got,) = server.requests
    assert found.dtype == np.float32
    assert found.tolist() == [[7, 8]]
    assert (got.method, got.path) == ("POST", "/predict")
    assert got.headers["content-type"] == "application/x-npy"
    assert npy.read(got.body).tolist() == [[1, 2]]


def test_lists_go_as_json(connect: Any) -> None:
    with Server([GOOD]) as server:
        assert connect(server.url).predict([[1, 2]]).tolist() == [[1.5, 2.0]]
        assert server.requests[0].body == b'{"inputs":[[1,2]]}'


def test_a_server_without_npy_is_told_once_and_gets_json_from_then_on(connect: Any) -> None:
    with Server([refusing(415, "unsupported_media_type"), GOOD]) as server:
        client = connect(server.url)
        client.predict(np.float32([[1, 2]]))
        client.predict(np.float32([[1, 2]]))
        kinds = [got.headers["content-type"] for got in server.requests]
    assert kinds == ["application/x-npy", "application/json", "application/json"]


def test_one_connection_serves_many_calls(connect: Any) -> None:
    with Server([GOOD]) as server:
        client = connect(server.url)
        for _ in range(5):
            client.predict([[1]])
        assert server.connections == 1
        assert len(server.requests) == 5


def test_a_connection_that_the_server_closed_meanwhile_is_not_used(connect: Any, hands: Hands) -> None:
    with Server([GOOD]) as server:
        client = connect(server.url, hands, retries=Retries(attempts=1))
        client.predict([[1]])
        server.hang_up()
        threading.Event().wait(0.05)
        client.predict([[1]])
        assert server.connections == 2


def test_credentials_ids_and_headers_are_sent(connect: Any) -> None:
    tokens = iter(["first", "second"])
    with Server([refusing(503), GOOD]) as server:
        client = connect(
            server.url + "/deep/",
            token=lambda: next(tokens),
            api_key="k",
            headers={"X-Team": "vision"},
            retries=Retries(first_s=0),
        )
        client.predict([[1]], request_id="mine-1")
        first, second = server.requests
    assert first.path == "/deep/predict"
    assert [got.headers["authorization"] for got in (first, second)] == ["Bearer first", "Bearer second"]
    assert (second.headers["x-api-key"], second.headers["x-team"]) == ("k", "vision")
    assert first.headers["x-request-id"] == second.headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "bad_shape", errors.InputError),
        (413, "too_large", errors.InputError),
        (401, "unauthorized", errors.CredentialsError),
        (403, "forbidden", errors.CredentialsError),
        (404, "not_found", errors.NotFound),
        (429, "rate_limited", errors.Throttled),
        (503, "overloaded", errors.Throttled),
        (503, "not_ready", errors.PredictionError),
        (500, "prediction_failed", errors.PredictionError),
    ],
)
def test_a_refusal_becomes_the_error_of_its_kind(
    connect: Any, hands: Hands, status: int, code: str, expected: type[Exception]
) -> None:
    with Server([refusing(status, code)]) as server:
        with pytest.raises(expected) as caught:
            connect(server.url, hands).predict([[1]], request_id="abc")
    assert type(caught.value) is expected
    assert f"told {code}" in str(caught.value)
    assert "abc" in str(caught.value)
    assert caught.value.fix == "mend"


def test_a_storm_of_503_is_ridden_out_with_growing_pauses(connect: Any, hands: Hands) -> None:
    with Server([refusing(503), refusing(503), refusing(429, "rate_limited"), GOOD]) as server:
        connect(server.url, hands, retries=Retries(first_s=0.1)).predict([[1]])
        assert len(server.requests) == 4
    assert hands.slept == [0.05, 0.1, 0.2]


def test_the_server_says_how_long_to_wait(connect: Any, hands: Hands) -> None:
    date = "Thu, 01 Jan 1970 00:16:43 GMT"  # 1003 s; the clock stands at 1002 by then
    with Server([refusing(429, retry_after="2"), refusing(503, retry_after=date), GOOD]) as server:
        connect(server.url, hands).predict([[1]])
    assert hands.slept == [2.0, 1.0]


def test_a_server_that_asks_for_too_long_a_pause_is_not_asked_again(connect: Any, hands: Hands) -> None:
    with Server([refusing(429, retry_after="3600"), GOOD]) as server:
        with pytest.raises(errors.Throttled):
            connect(server.url, hands).predict([[1]])
        assert len(server.requests) == 1
    assert hands.slept == []


def test_retries_end_with_their_budget(connect: Any, hands: Hands) -> None:
    with Server([refusing(503)]) as server:
        client = connect(server.url, hands, breaker=Breaker(failures=0))
        for _ in range(20):
            with pytest.raises(errors.Throttled):
                client.predict([[1]])
        # Without a budget it would be 80: 20 calls with four attempts each.
        assert len(server.requests) == 20 + 10


def test_successes_fill_the_budget_again(connect: Any, hands: Hands) -> None:
    deeds = [refusing(503)] * 14 + [GOOD] * 11 + [refusing(503)]
    with Server(deeds) as server:
        client = connect(server.url, hands, breaker=Breaker(failures=0))
        for _ in range(4):
            with pytest.raises(errors.Throttled):
                client.predict([[1]])
        assert len(server.requests) == 14
        for _ in range(11):
            client.predict([[1]])
        with pytest.raises(errors.Throttled):
            client.predict([[1]])
        assert len(server.requests) == 14 + 11 + 2


@pytest.mark.parametrize("deed", [dropping, resetting])
def test_a_lost_answer_is_asked_for_again(connect: Any, hands: Hands, deed: Any) -> None:
    with Server([deed, GOOD]) as server:
        connect(server.url, hands).predict([[1]])
        assert len(server.requests) == 2


def test_a_lost_answer_is_not_asked_for_again_where_that_does_harm(connect: Any, hands: Hands) -> None:
    with Server([dropping, GOOD]) as server:
        client = connect(server.url, hands, retries=Retries(repeat_lost=False))
        with pytest.raises(errors.CloudError) as caught:
            client.predict([[1]])
        assert caught.value.code == "lost"
        assert len(server.requests) == 1


def test_a_post_of_ones_own_is_never_sent_twice_once_it_may_have_arrived(connect: Any, hands: Hands) -> None:
    with Server([dropping, HTML, refusing(503), GOOD]) as server:
        client = connect(server.url, hands)
        for expected in (errors.CloudError, errors.PredictionError):
            with pytest.raises(expected):
                client.request("POST", "/x", b"{}")
        assert client.request("POST", "/x", b"{}").body
        assert len(server.requests) == 4


def test_a_model_that_ran_out_of_time_is_not_asked_again(connect: Any, hands: Hands) -> None:
    with Server([refusing(503, "out_of_time")]) as server:
        with pytest.raises(errors.PredictionError):
            connect(server.url, hands).predict([[1]])
        assert len(server.requests) == 1


def test_nobody_listening_is_told_after_every_attempt(connect: Any, hands: Hands) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        client = connect(f"http://127.0.0.1:{closed.getsockname()[1]}", hands)
        with pytest.raises(errors.CloudError, match="can't be reached") as caught:
            client.predict([[1]])
    assert caught.value.code == "unsent"
    assert len(hands.slept) == 3
    assert client.ready() is False


def test_a_server_that_stalls_is_left_after_the_read_timeout(connect: Any) -> None:
    server = Server([])
    server.deeds.append(server.stalling)
    with server:
        with pytest.raises(errors.Timeout):
            connect(server.url, timeouts=Timeouts(read_s=0.1)).predict([[1]])
        assert len(server.requests) == 1


def test_a_server_that_drips_is_left_when_the_whole_time_is_over(connect: Any) -> None:
    server = Server([])
    server.deeds.append(server.dripping)
    with server:
        with pytest.raises(errors.Timeout, match="within the call's time"):
            connect(server.url, timeouts=Timeouts(read_s=5)).predict([[1]], timeout_s=0.15)


def test_a_call_waits_for_a_connection_no_longer_than_its_time() -> None:
    server = Server([])
    server.deeds.append(server.stalling)
    with server, Client(server.url, connections=1) as client:

        def hold() -> None:
            with pytest.raises(errors.CloudError):
                client.predict([[1]])

        first = threading.Thread(target=hold)
        first.start()
        while not server.requests:
            threading.Event().wait(0.005)
        with pytest.raises(errors.Timeout, match="in use"):
            client.predict([[1]], timeout_s=0.1)
        server.stalled.set()
        first.join(10)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
    ],
)
def test_what_is_no_http_is_told(connect: Any, hands: Hands, data: bytes) -> None:
    with Server([saying(data)]) as server:
        with pytest.raises(errors.CloudError) as caught:
            connect(server.url, hands).predict([[1]])
    assert caught.value.code == "malformed"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b'8;x=y\r\n{"predic\r\n0D\r\ntions":[[1]]}\r\n0\r\nt: v\r\n\r\n',
        b'HTTP/1.0 200 OK\r\n\r\n{"predictions":[[1]]}',
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\ncontent-length: 21\r\n\r\n{"predictions":[[1]]}',
    ],
)
def test_every_way_to_end_a_body_is_read(connect: Any, data: bytes) -> None:
    data = data.replace(b"\r\n\r\n{", b"\r\ncontent-type: application/json\r\n\r\n{").replace(
        b"chunked\r\n", b"chunked\r\ncontent-type: application/json\r\n"
    )
    with Server([saying(data)]) as server:
        assert connect(server.url).predict([[1]]).tolist() == [[1]]


@pytest.mark.parametrize("raw", [b"", b"{", b'{"predictions":"x"}', b'{"other":1}', b"[" * 3000])
def test_an_answer_that_is_no_prediction_is_told(connect: Any, hands: Hands, raw: bytes) -> None:
    with Server([answering(raw=raw)]) as server:
        with pytest.raises(errors.PredictionError) as caught:
            connect(server.url, hands).predict([[1]])
    assert caught.value.code == "bad_answer"


def test_redirects_are_told_and_not_followed(connect: Any, hands: Hands) -> None:
    with Server([answering({}, 307, {"location": "http://127.0.0.1:9/x"})]) as server:
        with pytest.raises(errors.CloudError, match="sends the request to"):
            connect(server.url, hands, token="secret").predict([[1]])
        assert len(server.requests) == 1


def test_the_circuit_opens_is_tried_and_closes(connect: Any, hands: Hands) -> None:
    with Server([HTML] * 3 + [HTML, GOOD]) as server:
        client = connect(
            server.url, hands, retries=Retries(attempts=1), breaker=Breaker(failures=3, open_s=5)
        )
        for _ in range(3):
            with pytest.raises(errors.PredictionError):
                client.predict([[1]])
        with pytest.raises(errors.CloudError) as caught:
            client.predict([[1]])
        assert caught.value.code == "circuit_open"
        assert (client.client.circuit, len(server.requests)) == ("open", 3)
        hands.time += 5
        assert client.client.circuit == "half-open"
        with pytest.raises(errors.PredictionError):
            client.predict([[1]])
        assert client.client.circuit == "open"
        hands.time += 5
        client.predict([[1]])
        assert (client.client.circuit, len(server.requests)) == ("closed", 5)


def test_a_server_that_refuses_by_itself_does_not_open_the_circuit(connect: Any, hands: Hands) -> None:
    with Server([refusing(503)]) as server:
        client = connect(server.url, hands, retries=Retries(attempts=1), breaker=Breaker(failures=2))
        for _ in range(5):
            with pytest.raises(errors.Throttled):
                client.predict([[1]])
        assert client.client.circuit == "closed"


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "127.0.0.1:80", "http://", "http://u:p@h", "http://h:99999", "http://h/?q=1", None,
            5, "http://h/a b", "http://h/\r\nx: y"],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: Any) -> None:
    with pytest.raises(errors.SpecError, match="is no server's address"):
        Client(url)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "a\r\nb: c"}, {"headers": {"a b": "c"}}, {"path": "predict"}, {"path": "/a b"},
        {"connections": 0}, {"version": "1"},
    ],
)  # fmt: skip
def test_what_would_break_a_request_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(errors.SpecError):
        Client("http://127.0.0.1:1", **options)
    with pytest.raises(errors.SpecError):
        Timeouts(read_s=0)


@pytest.mark.parametrize("inputs", [[], {"a": [1], "b": [1, 2]}, [[1], [1, 2]], object()])
def test_inputs_that_are_no_batch_are_refused_without_a_request(connect: Any, inputs: Any) -> None:
    with Server([GOOD]) as server:
        with pytest.raises(errors.InputError):
            connect(server.url).predict(inputs)
        assert server.requests == []


def test_many_threads_share_a_client() -> None:
    with Server([GOOD]) as server, Client(server.url, connections=4) as client:
        found: list[Any] = []
        threads = [
            threading.Thread(target=lambda: found.extend(client.predict([[1]]).tolist() for _ in range(10)))
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert found == [[[1.5, 2.0]]] * 120
        assert server.connections <= 4
