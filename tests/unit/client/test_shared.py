"""One client, many callers, and a server that does harm: each gets its own answer, or an error."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clouddeploy.client import AsyncClient, Breaker, Client, Retries
from clouddeploy.errors import CloudDeployError
from tests.unit.client.misbehaving import Deed, Got, Server, answering, dropping, refusing, resetting

CALLERS, CALLS, SEATS = 8, 6, 3
QUICK: dict[str, Any] = {
    "connections": SEATS,
    "retries": Retries(attempts=3, first_s=0.001, most_s=0.002),
    "breaker": Breaker(failures=0),
}


def echoing(sock: socket.socket, got: Got) -> bool:
    """Answer with what was asked, in two pieces."""
    inputs = json.loads(got.body)["inputs"]
    body = json.dumps({"predictions": inputs}).encode()
    sock.sendall(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    sock.sendall(body)
    return True


def closing(sock: socket.socket, got: Got) -> bool:
    """Answer well, and close the connection without a word."""
    echoing(sock, got)
    return False


def cutting(sock: socket.socket, got: Got) -> bool:
    """Break off in the middle of the answer."""
    sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
    return False


DEEDS: list[Deed] = [
    echoing,
    closing,
    cutting,
    dropping,
    resetting,
    refusing(503),
    refusing(400),
    answering("no"),
]


def own(asked: float, ask: Any) -> str:
    """What became of one call: ``own`` when the answer is that of the question."""
    try:
        return "own" if ask([[asked]]).tolist() == [[asked]] else "another's"
    except CloudDeployError as error:
        return type(error).__name__


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(order=st.lists(st.sampled_from(DEEDS), max_size=40))
def test_threads_never_get_the_answer_of_another(order: list[Deed]) -> None:
    with Server([*order, echoing]) as server, Client(server.url, **QUICK) as client:
        with ThreadPoolExecutor(CALLERS) as pool:
            found = list(pool.map(lambda number: own(number, client.predict), range(CALLERS * CALLS)))
        assert "another's" not in found
        assert found.count("own") >= len(found) - len(order)
        assert client._pool.idle <= SEATS
        assert all(own(number, client.predict) == "own" for number in range(3))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    order=st.lists(st.sampled_from(DEEDS), max_size=30), gone=st.sets(st.integers(0, CALLERS - 1), max_size=3)
)
def test_tasks_never_get_the_answer_of_another_though_some_are_cancelled(
    order: list[Deed], gone: set[int]
) -> None:
    async def one(client: AsyncClient, number: int) -> str:
        try:
            found = await client.predict([[number]])
        except CloudDeployError as error:
            return type(error).__name__
        return "own" if found.tolist() == [[number]] else "another's"

    async def run(url: str) -> list[Any]:
        async with AsyncClient(url, **QUICK) as client:
            tasks = [asyncio.ensure_future(one(client, number)) for number in range(CALLERS)]
            await asyncio.sleep(0.001)
            for number in gone:
                tasks[number].cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            return [*found, *[await one(client, number) for number in range(3)]]

    with Server([*order, *[echoing] * 100]) as server:
        found = asyncio.run(run(server.url))
    assert "another's" not in found
    told = [one for one in found if isinstance(one, BaseException)]
    assert all(isinstance(one, asyncio.CancelledError) for one in told)
    assert len(told) <= len(gone)


def test_a_client_that_is_closed_while_others_use_it_harms_nobody() -> None:
    with Server([echoing]) as server, Client(server.url, **QUICK) as client:
        over = threading.Event()
        found: list[str] = []

        def go(number: int) -> None:
            while not over.is_set():
                found.append(own(number, client.predict))

        threads = [threading.Thread(target=go, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            client.close()
        over.set()
        for thread in threads:
            thread.join(10)
        assert set(found) == {"own"}


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_a_server_on_ipv6_is_reached_by_its_address_in_brackets(connect: Any) -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on loopback")
    seen: list[bytes] = []

    def serve() -> None:
        sock, _ = listening.accept()
        with sock:
            seen.append(sock.recv(65536))
            answering({"predictions": [1]})(sock, Got("", "", {}, b""))

    thread = threading.Thread(target=serve)
    thread.start()
    port = listening.getsockname()[1]
    assert connect(f"http://[::1]:{port}").predict([1]).tolist() == [1]
    thread.join(10)
    listening.close()
    assert f"host: [::1]:{port}\r\n".encode() in seen[0]


def test_proxies_of_the_environment_are_not_used(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Server([echoing]) as server:
        assert connect(server.url).predict([[1]]).tolist() == [[1]]
