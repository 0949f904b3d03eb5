"""Rates out of differences."""

from __future__ import annotations

import pytest

from clouddeploy.monitoring import families
from clouddeploy.monitoring.buckets import SECONDS, bucket_of
from clouddeploy.monitoring.gathering import Counted, Snapshot
from clouddeploy.monitoring.history import EVERY_S, RECENT_S, History


class Server:
    """Counts that a test moves on."""

    def __init__(self) -> None:
        self.times: dict[tuple[str, str, str], list[float]] = {}
        self.errors: dict[tuple[str, str, str, str], float] = {}
        self.now = 0.0

    def answer(self, times: int, seconds: float, version: str = "1", route: str = "/predict") -> None:
        model = "m" if version else ""
        counts = self.times.setdefault((route, model, version), [0.0] * (len(SECONDS) + 1))
        counts[bucket_of(SECONDS, seconds)] += times

    def look(self) -> Snapshot:
        found = Snapshot()
        for labels, counts in self.times.items():
            found.add_histogram(families.REQUEST_SECONDS, labels, Counted(list(counts), 0.0))
            found.add_number(families.REQUESTS, ("POST", *labels, "200"), sum(counts))
        for labels, count in self.errors.items():
            found.add_number(families.ERRORS, labels, count)
        found.set(families.LOADED, ("m", "1"), 1)
        return found


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def history(server: Server) -> History:
    found = History(server.look, lambda: server.now)
    found.sample()
    return found


def later(server: Server, history: History, seconds: float = EVERY_S) -> None:
    server.now += seconds
    history.sample()


def test_without_traffic_there_are_no_times_and_the_version_is_shown(history: History) -> None:
    told = history.now()
    assert told["now"]["rate"] == 0
    assert told["now"]["p50"] is None
    (version,) = told["recent"]["versions"]
    assert (version["version"], version["share"], version["requests"]) == ("1", None, 0)


def test_rates_come_from_time_and_percentiles_from_what_is_new(server: Server, history: History) -> None:
    server.answer(1000, 5.0)
    later(server, history)
    server.answer(100, 0.001)
    later(server, history)
    last = history.points[-1]
    assert last["rate"] == 50
    assert last["p99"] == pytest.approx(0.001, rel=0.26)


def test_shares_and_errors_are_those_of_the_last_minute(server: Server, history: History) -> None:
    server.answer(500, 0.01, "2")
    later(server, history)
    for _ in range(int(RECENT_S / EVERY_S) + 2):
        later(server, history)
    server.answer(90, 0.01, "1")
    server.answer(10, 0.1, "2")
    server.errors["/predict", "m", "2", "prediction_failed"] = 4.0
    later(server, history)
    recent = history.now()["recent"]
    assert [(v["version"], v["share"], v["errors"]) for v in recent["versions"]] == [
        ("1", 0.9, 0),
        ("2", 0.1, 4),
    ]
    assert recent["codes"] == [("prediction_failed", 4.0)]


def test_health_checks_and_the_page_itself_are_no_traffic(server: Server, history: History) -> None:
    server.answer(50, 0.0001, "", "/health")
    server.answer(1, 70.0, "", "/dashboard/data")
    later(server, history)
    assert history.points[-1]["rate"] == 0
    assert history.points[-1]["p99"] is None
    assert [row["route"] for row in history.now()["recent"]["routes"]] == ["/health"]
