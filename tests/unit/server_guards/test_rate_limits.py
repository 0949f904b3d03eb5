"""Token buckets, alone and shared."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.errors import SpecError
from clouddeploy.server.guards.rate_limits import SETS, Buckets, network
from tests.unit.server_guards.conftest import Start


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_is_taken_then_the_rate(tmp_path: Path, clock: Clock) -> None:
    buckets = Buckets(tmp_path / "rates", rate=2, burst=3, clock=clock)
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a") == pytest.approx(0.5)
    assert buckets.take("b") == 0, "others have their own"
    clock.now += 0.5
    assert buckets.take("a") == 0
    clock.now += 0.2
    assert buckets.take("a") == pytest.approx(0.3), "what is refused costs nothing"
    buckets.close()


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60), st.integers(1, 5), st.integers(1, 8))
def test_no_more_than_the_burst_and_the_rate_are_ever_taken(
    pauses: list[float], rate: int, burst: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        buckets = Buckets(Path(folder, "rates"), rate, burst, clock=clock)
        tokens = float(burst)
        for pause_s in pauses:
            clock.now += pause_s
            tokens = min(burst, tokens + pause_s * rate)
            wait_s = buckets.take("a")
            if wait_s:
                assert tokens < 1
                assert wait_s == pytest.approx((1 - tokens) / rate, abs=1e-6)
            else:
                assert tokens > 1 - 1e-6
                tokens -= 1
        buckets.close()


def test_who_waits_as_told_is_taken(tmp_path: Path, clock: Clock) -> None:
    buckets = Buckets(tmp_path / "rates", rate=3, burst=1, clock=clock)
    buckets.take("a")
    for _ in range(50):
        clock.now += buckets.take("a")
        assert buckets.take("a") == 0
    buckets.close()


TAKER = """
import sys
from pathlib import Path
from clouddeploy.server.guards.rate_limits import Buckets
buckets = Buckets(Path(sys.argv[1]), rate=1e-6, burst=100)
print(sum(buckets.take("a") == 0 for _ in range(80)))
"""


def test_processes_share_the_buckets_exactly(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKER, str(tmp_path / "rates")]
    takers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sum(int(taker.communicate(timeout=60)[0]) for taker in takers) == 100


def test_more_names_than_there_is_room_for_do_no_harm(tmp_path: Path, clock: Clock) -> None:
    buckets = Buckets(tmp_path / "rates", rate=1, burst=2, clock=clock)
    assert all(buckets.take(f"name {n}") == 0 for n in range(SETS * 10))
    buckets.close()


def test_who_asks_too_often_is_told_when_to_come_again(start: Start) -> None:
    asked = start(rate=0.1, burst=2)
    assert [asked.ask().status for _ in range(3)] == [200, 200, 429]
    answer = asked.ask()
    assert answer.code == "rate_limited"
    assert 9 <= int(answer.headers["retry-after"]) <= 10
    assert asked.ask("/health").status == 200, "health counts for no rate"


def test_each_key_has_its_own_rate(start: Start, tmp_path: Path) -> None:
    from clouddeploy.server.guards.api_keys import add

    keys = [add(tmp_path / "keys.json", name) for name in ("a", "b")]
    asked = start(rate=0.1, burst=1, api_keys=tmp_path / "keys.json")
    for key in keys:
        assert asked.ask(x_api_key=key).status == 200
        assert asked.ask(x_api_key=key).status == 429
    assert asked.ask(x_api_key="wrong").status == 401, "who isn't known takes nobody's tokens"


def test_a_burst_without_a_rate_is_refused(start: Start) -> None:
    with pytest.raises(SpecError, match="burst"):
        start(burst=3)


@pytest.mark.parametrize(
    ("peer", "found"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("", ""),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
    ],
)
def test_addresses_of_one_owner_count_together(peer: str, found: str) -> None:
    assert network(peer) == found
    assert math.isfinite(len(found))
