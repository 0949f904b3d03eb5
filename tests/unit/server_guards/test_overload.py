"""Far more requests than a slow model can answer."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime.decode import Request
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.app import App
from clouddeploy.server.engine import Engine
from clouddeploy.server.exchange import Exchange
from clouddeploy.server.message import Response, refusal
from clouddeploy.server.settings import ServerSettings
from tests.unit.server_engine.rig import Model, engine_of
from tests.unit.server_http.rig import GET, Server, routes, running

BATCH, BATCH_S = 4, 0.02
ASK = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture
def engine() -> Iterator[Engine]:
    def slow(inputs: Any) -> None:
        time.sleep(BATCH_S)

    found = engine_of(Model(slow), max_batch=BATCH, max_wait_ms=50, clock=time.perf_counter, fast=False)
    found.warm_up([[0.0, 0.0]])
    yield found
    found.close()


@pytest.fixture
def server(engine: Engine) -> Iterator[Server]:
    app = App(ServerSettings())
    routes(app)

    def predict(exchange: Exchange) -> None:
        def done(outcome: Any) -> None:
            is_error = isinstance(outcome, WireError)
            exchange.reply(
                refusal(outcome) if is_error else Response(200, json.dumps(outcome.outputs.tolist()).encode())
            )

        engine.ask(Request(np.zeros((1, 2), np.float32), 1), exchange, done)

    app.routes.add("POST", "/predict", predict)
    with running(app) as found:
        yield found


def test_most_are_refused_the_others_answered_and_nobody_is_left_without(server: Server) -> None:
    clients = [server.client() for _ in range(200)]
    for client in clients:
        client.send(ASK)
    answers = [client.answer() for client in clients]
    found = Counter(answer.status for answer in answers)
    assert set(found) == {200, 503}
    assert found[200] >= 2 * BATCH
    assert found[503] > found[200]
    refused = next(answer for answer in answers if answer.status == 503)
    assert refused.code == "overloaded"
    assert int(refused.headers["retry-after"]) == 1
    assert clients[0].ask(ASK).status == 200, "it recovers at once"


def test_what_waits_is_bounded_while_they_keep_coming_and_health_answers(
    server: Server, engine: Engine
) -> None:
    over = threading.Event()
    most: list[int] = []
    clients = [server.client() for _ in range(60)]

    def press(part: list[Any]) -> None:
        while not over.is_set():
            for client in part:
                client.send(ASK)
            for client in part:
                client.answer()
                most.append(engine.facts.waiting)

    threads = [threading.Thread(target=press, args=(clients[i::3],)) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert all(server.ask(GET).status == 200 for _ in range(10))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert max(most) <= 10 * BATCH


def test_who_says_for_how_long_he_waits_is_refused_when_that_is_too_short(server: Server) -> None:
    clients = [server.client() for _ in range(8)]
    for client in clients:
        client.send(ASK)
    hurried = server.client().ask(ASK.replace(b"host: x\r\n", b"host: x\r\nx-timeout-ms: 1\r\n"))
    assert hurried.status == 503
    assert [client.answer().status for client in clients].count(200) >= 2
