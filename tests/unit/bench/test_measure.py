"""Loads on a real server: what is sent, what is counted, and from when latency counts."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import statistics
import threading
import xml.dom.minidom
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.bench import Load, measure
from clouddeploy.bench.record import Record
from clouddeploy.bench.result import result
from clouddeploy.errors import CloudError, SpecError
from tests.unit.bench.conftest import BUSY, OK, Server

SHORT: dict[str, Any] = {"duration_s": 0.3, "warm_up_s": 0.05, "connections": 4}


def test_an_open_load_sends_what_is_due_and_counts_it_once(server: Server) -> None:
    load = Load(url=f"{server.url}/predict", rate=200, body=b'{"a":1}', headers={"x-a": "b"}, **SHORT)
    found = measure(load)
    assert found.sent == 60
    assert found.statuses == {200: 60}
    assert found.errors == 0
    assert found.latency.count == 60
    assert found.lag.count == 60
    head, _, body = server.seen[-1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /predict HTTP/1.1\r\n")
    assert b"\r\nx-a: b\r\n" in head
    assert body == b'{"a":1}'
    assert server.connections <= 4 + 1  # one of the probe


def test_a_closed_load_keeps_every_connection_busy(server: Server) -> None:
    found = measure(Load(url=server.url, **SHORT))
    assert found.statuses.keys() == {200}
    assert found.sent > 4
    assert found.queued == 0
    assert server.count >= found.sent


def test_latency_counts_from_when_a_request_was_due_not_from_when_it_could_be_sent(server: Server) -> None:
    """One connection, one answer that never comes: what is due after it waits, and is late."""
    server.answer = lambda number: (None, False) if number == 2 else (OK, False)
    load = Load(
        url=server.url, rate=100, connections=1, duration_s=0.4, warm_up_s=0, timeout_s=0.3,
    )  # fmt: skip
    found = measure(load)
    assert found.failures == {"timeout": 1} or set(found.failures) == {"timeout"}
    assert found.queued > 10
    assert found.latency.high_s > 0.15
    assert found.sent == 40
    assert any("waited for a connection" in text for text in found.warnings)


def test_refusals_are_counted_apart(server: Server) -> None:
    server.answer = lambda number: (BUSY if number % 2 else OK, False)
    found = measure(Load(url=server.url, rate=100, **SHORT))
    assert found.statuses[503] == found.refusals.count > 0
    assert found.statuses[200] == found.latency.count > 0
    assert found.errors == found.statuses[503]
    assert any("without an error" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("data", "what"),
    [(None, "connection lost"), (b"SSH-2.0\r\n\r\n", "no HTTP"), (OK + b"more", "connection lost")],
)
def test_a_connection_that_breaks_costs_its_request_and_is_opened_anew(
    server: Server, data: bytes | None, what: str
) -> None:
    server.answer = lambda number: (OK, False) if number % 5 else (data, True)
    found = measure(Load(url=server.url, rate=100, timeout_s=2, **SHORT))
    assert found.sent == 30
    assert set(found.failures) <= {what, "bytes that nobody asked for", "connection lost"}
    assert found.statuses[200] >= 20


def test_every_kind_of_answer_is_read(server: Server) -> None:
    kinds = itertools.cycle(
        [
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", False),
            (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}", True),
            (b"HTTP/1.1 200 OK\r\n\r\n{}", True),
            (OK, False),
        ]
    )
    server.answer = lambda number: next(kinds)
    found = measure(Load(url=server.url, rate=100, **SHORT))
    assert found.failures == {}
    assert found.statuses == {200: 30}


def test_arrivals_are_even_or_by_chance() -> None:
    even = Load(url="http://127.0.0.1", rate=10)
    assert list(itertools.islice(even.due(), 3)) == [0, 0.1, 0.2]
    chance = Load(url="http://127.0.0.1", rate=10, arrivals="poisson", seed=3)
    times = list(itertools.islice(chance.due(), 20_000))
    gaps = [b - a for a, b in itertools.pairwise([0.0, *times])]
    assert statistics.fmean(gaps) == pytest.approx(0.1, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(0.1, rel=0.05)
    assert times[:5] == list(itertools.islice(chance.due(), 5))


def test_nothing_is_measured_where_nobody_listens_or_the_request_is_refused(server: Server) -> None:
    with pytest.raises(CloudError, match="can't be reached"):
        measure(Load(url="http://127.0.0.1:1", rate=10, **SHORT))
    with pytest.raises(CloudError, match="can't be reached"):
        measure(Load(url="http://127.0.0.1:1", rate=10, **SHORT), probe=False)
    error = b'{"error":{"code":"bad_shape","message":"3 numbers, not 4","fix":"send 4"}}'
    server.answer = lambda number: (
        b"HTTP/1.1 400 Bad\r\ncontent-length: %d\r\n\r\n%b" % (len(error), error),
        False,
    )
    with pytest.raises(CloudError, match="answers 400") as caught:
        measure(Load(url=server.url, rate=10, **SHORT))
    assert (caught.value.why, caught.value.fix) == ("3 numbers, not 4", "send 4")


def test_ctrl_c_ends_it_early_and_gives_what_there_is(server: Server) -> None:
    def interrupt(number: int) -> tuple[bytes, bool]:
        if number == 50:
            os.kill(os.getpid(), signal.SIGINT)
        return OK, False

    assert threading.current_thread() is threading.main_thread()
    server.answer = interrupt
    found = measure(Load(url=server.url, rate=200, connections=2, duration_s=60, warm_up_s=0))
    assert 40 <= found.sent < 2000
    assert found.seconds < 30
    assert any("it was stopped" in text for text in found.warnings)


def record(*, lag_s: float = 0.0, queued: int = 0) -> Record:
    made = Record(100.0, 110.0, queued=queued)
    for number in range(1000):
        due = 100 + number / 100
        made.late(due, due + lag_s)
        made.answer(200, due, due + 0.002)
    return made


def test_the_generators_own_limits_are_told() -> None:
    load = Load(url="http://127.0.0.1", rate=100)
    assert result(load, record(), 10, 0.1).warnings == ()
    (late,) = result(load, record(lag_s=0.005), 10, 0.1).warnings
    assert "late by 5 ms at p99" in late
    (busy,) = result(load, record(), 10, 0.97).warnings
    assert "97% of one core" in busy
    (queued,) = result(load, record(queued=400), 10, 0.1).warnings
    assert "400 of 1,000" in queued


def test_the_result_tells_itself_as_text_json_html_and_a_drawing(tmp_path: Path) -> None:
    load = Load(url="http://127.0.0.1/<p>", rate=100)
    found = result(load, record(), 10, 0.1)
    assert "p50 2 ms" in str(found)
    shape = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert shape["latency_ms"]["p50"] == pytest.approx(2, rel=0.002)
    assert shape["answers_per_s"] == 100
    assert shape["statuses"] == {"200": 1000}
    page = found._repr_html_()
    assert "&lt;p&gt;" in page
    assert "<p>" not in page
    assert "<script" not in page
    path = found.save(tmp_path / "out.svg")
    drawn = xml.dom.minidom.parseString(path.read_bytes())
    numbers = re.findall(r"[0-9.]+,[0-9.]+", " ".join(
        line.getAttribute("points") for line in drawn.getElementsByTagName("polyline")
    ))  # fmt: skip
    assert len(numbers) > 4
    with pytest.raises(SpecError, match="no drawing's name"):
        found.save(tmp_path / "out.pdf")


def test_a_run_without_one_answer_can_be_told_and_drawn_too() -> None:
    made = Record(0.0, 1.0)
    made.fail("timeout", 0.5, 2.0)
    found = result(Load(url="http://127.0.0.1", rate=1), made, 1, 0.0)
    assert "timeout: 1" in str(found)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["latency_ms"]["p50"] is None
    xml.dom.minidom.parseString(found.svg())


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0}, {"rate": float("nan")}, {"duration_s": 0}, {"connections": 0}, {"connections": 1.5},
        {"timeout_s": 0}, {"arrivals": "uniform"}, {"method": "post it"}, {"headers": {"a": "b\nc"}},
        {"url": "nowhere"},
    ],
)  # fmt: skip
def test_a_load_that_cannot_be_sent_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        Load(**{"url": "http://127.0.0.1", **wrong})


def test_a_query_is_sent_and_checked(server: Server) -> None:
    measure(Load(url=f"{server.url}/a?b=c", method="GET", rate=50, duration_s=0.1, warm_up_s=0))
    assert server.seen[-1].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    with pytest.raises(SpecError, match="query"):
        measure(Load(url=f"{server.url}/a?b= c", rate=50))


def test_a_server_that_goes_midway_is_told_as_gone_and_not_as_slow(server: Server) -> None:
    def answer(number: int) -> tuple[bytes | None, bool]:
        if number == 20:
            server.leave()
        return OK, number >= 20

    server.answer = answer
    found = measure(
        Load(
            url=f"{server.url}/x",
            method="GET",
            rate=200,
            duration_s=0.6,
            warm_up_s=0,
            timeout_s=0.2,
            connections=2,
        )
    )
    assert found.failures.get("no connection", 0) > 50
    assert not found.failures.get("timeout")
    assert any("can't be reached any more: Connection refused" in text for text in found.warnings)


def test_a_redirect_is_no_answer_to_measure(server: Server) -> None:
    moved = b"HTTP/1.1 308 Moved\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n"
    server.answer = lambda number: (moved, False)
    with pytest.raises(CloudError, match="308"):
        measure(Load(url=f"{server.url}/x", method="GET", rate=10, duration_s=0.1, warm_up_s=0))
