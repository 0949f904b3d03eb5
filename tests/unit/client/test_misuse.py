"""Arguments that can't be meant: refused by name, before anything is sent."""

from __future__ import annotations

import copy
import math
import os
import pickle
import threading
from typing import Any

import numpy as np
import pytest

from clouddeploy import errors
from clouddeploy.client import AsyncClient, Breaker, Client, Retries
from clouddeploy.client.breaker import Circuit
from clouddeploy.errors import CloudDeployError, InputError, SpecError
from tests.unit.client.conftest import Hands
from tests.unit.client.misbehaving import Server, answering, refusing

GOOD = answering({"predictions": [[1.5, 2.0]]})
NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize("make", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"model": 3}, "model"),
        ({"model": ""}, "model"),
        ({"model": "m", "version": 1.5}, "version"),
        ({"model": "m", "version": True}, "version"),
        ({"path": None}, "path"),
        ({"api_key": 3}, "api_key"),
        ({"token": 3}, "token"),
        ({"headers": {"a": 1}}, "headers"),
        ({"headers": {1: "a"}}, "headers"),
        ({"headers": [("a", "b")]}, "headers"),
        ({"headers": {"Content-Length": "3"}}, "content-length"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "transfer-encoding"),
        ({"timeouts": 5}, "timeouts"),
        ({"retries": 3}, "retries"),
        ({"breaker": False}, "breaker"),
        ({"tls": True}, "tls"),
        ({"tls": "cert.pem"}, "tls"),
        ({"answer_limit": -1}, "answer_limit"),
        ({"answer_limit": "1 GB"}, "answer_limit"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_refused_by_its_name(
    make: Any, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(SpecError) as caught:
        make(NOWHERE, **options)
    assert named in caught.value.what
    assert caught.value.why
    assert caught.value.fix


def test_a_secret_of_the_wrong_kind_is_not_repeated() -> None:
    with pytest.raises(SpecError) as caught:
        Client(NOWHERE, api_key=b"top-secret")  # type: ignore[arg-type]
    assert "top-secret" not in str(caught.value)
    assert "bytes" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://a..b", f"http://{'a' * 70}", "http://x:0", b"http://x", 3, "https://a..b:1/x"]
)
def test_a_host_that_can_not_be_is_refused_at_once(url: Any) -> None:
    with pytest.raises(SpecError, match="no server's address"):
        Client(url)


@pytest.mark.parametrize("timeout_s", ["5", math.nan, math.inf, True])
def test_a_time_that_is_none_is_refused(connect: Any, timeout_s: Any) -> None:
    with Server([GOOD]) as server:
        with pytest.raises(SpecError, match="timeout_s"):
            connect(server.url).predict([[1]], timeout_s=timeout_s)
        assert not server.requests


def test_a_time_that_is_over_already_is_told_as_a_timeout(connect: Any) -> None:
    with Server([GOOD]) as server, pytest.raises(errors.Timeout):
        connect(server.url).predict([[1]], timeout_s=-0.5)


@pytest.mark.parametrize("method", ["", "G ET", "GET / HTTP/1.1\r\nx: y\r\n\r\nGET", None, 3])
def test_a_method_can_not_smuggle_a_second_request(connect: Any, method: Any) -> None:
    with Server([GOOD]) as server:
        with pytest.raises(SpecError, match="method"):
            connect(server.url).request(method, "/x")
        assert not server.requests


@pytest.mark.parametrize("body", ["text", None, {"a": 1}, [1]])
def test_a_body_that_is_no_bytes_is_refused(connect: Any, body: Any) -> None:
    with Server([GOOD]) as server:
        client = connect(server.url)
        with pytest.raises(SpecError, match="body"):
            client.request("POST", "/x", body)
        with pytest.raises(SpecError, match="body"):
            client.predict_raw(body)
        assert not server.requests


def test_a_request_id_that_is_no_text_is_refused(connect: Any) -> None:
    with Server([GOOD]) as server, pytest.raises(SpecError, match="x-request-id"):
        connect(server.url).predict([[1]], request_id=5)


def test_a_header_is_sent_once_however_it_is_written(connect: Any) -> None:
    with Server([GOOD]) as server:
        client = connect(server.url, headers={"X-Team": "a"})
        client.request("POST", "/x", b"{}", {"x-TEAM": "b", "HOST": "elsewhere", "Content-Type": "text/x"})
        (got,) = server.requests
    assert got.headers["x-team"] == "b"
    sent = client.client._plan.ask("GET", "/", headers={"X-Team": "b"}, repeatable=True)
    assert list(sent.headers) == ["x-team"]
    assert got.headers["host"] == "elsewhere"
    assert got.headers["content-type"] == "text/x"


def test_a_version_may_be_a_number() -> None:
    assert repr(Client(NOWHERE, model="m", version=3)) == f"Client({NOWHERE!r})"


def test_an_array_of_objects_is_refused_as_an_input(connect: Any) -> None:
    with Server([GOOD]) as server:
        with pytest.raises(InputError, match="dtype object"):
            connect(server.url).predict(np.array([[object(), 1.0]]))
        assert not server.requests


@pytest.mark.parametrize("make", [Client, AsyncClient])
@pytest.mark.parametrize("deed", [pickle.dumps, copy.copy, copy.deepcopy])
def test_what_can_not_be_pickled_says_what_to_do_instead(make: Any, deed: Any) -> None:
    with pytest.raises(TypeError, match="make one in each process"):
        deed(make(NOWHERE))


def test_a_model_that_is_being_loaded_is_told_so_and_not_as_load(connect: Any, hands: Hands) -> None:
    deed = refusing(503, "not_ready", retry_after="1")
    with Server([deed]) as server, pytest.raises(CloudDeployError) as caught:
        connect(server.url, hands).predict([[1]])
    assert "isn't ready" in caught.value.what
    assert "too much to do" not in caught.value.what


def _ask(client: Client, done: threading.Event) -> None:
    client.predict([[1]])
    done.set()


def test_a_forked_process_is_not_held_up_by_what_its_parent_was_doing() -> None:
    """Another thread held the locks, and was trying the circuit, at the moment of the fork."""
    with Server([GOOD]) as server:
        client = Client(server.url, breaker=Breaker(failures=1, open_s=0), retries=Retries(attempts=1))
        circuit: Circuit = client._plan.caller.circuit
        circuit.failed()
        circuit.enter(server.url)
        circuit._lock.acquire()
        child = os.fork()
        if not child:
            done = threading.Event()
            threading.Thread(target=_ask, args=(client, done), daemon=True).start()
            os._exit(0 if done.wait(5) else 1)
        circuit._lock.release()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("inputs", [None, "text", 1.0, np.array(3.0)])
def test_what_is_no_batch_is_told_by_its_type(connect: Any, inputs: Any) -> None:
    with Server([GOOD]) as server, pytest.raises(InputError) as caught:
        connect(server.url).predict(inputs)
    assert type(inputs).__name__ in caught.value.what
