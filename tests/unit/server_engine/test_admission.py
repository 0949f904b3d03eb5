"""Which requests may wait."""

from __future__ import annotations

import pytest

from clouddeploy.server.engine.admission import FREE_BATCHES, Admission
from clouddeploy.server.engine.jobs import Overloaded
from clouddeploy.server.engine.pace import Pace
from tests.unit.server_engine.rig import Clock

MOST = 8


def admission(*, batch_s: float = 0.02, queue: int = 1000, max_wait_s: float = 0.05) -> Admission:
    pace = Pace()
    pace.begin(1, batch_s)
    pace.begin(MOST, batch_s)
    return Admission(pace, queue, max_wait_s, Clock())


def test_the_wait_is_that_of_whole_batches() -> None:
    found = admission()
    assert found.wait_s(0, MOST) == 0
    assert found.wait_s(MOST, MOST) == pytest.approx(0.02)
    assert found.wait_s(3 * MOST + 1, MOST) == pytest.approx(0.08)
    assert found.wait_s(3, 1) == pytest.approx(0.06)


def test_a_model_whose_speed_isn_t_known_keeps_nobody_out() -> None:
    found = Admission(Pace(), 100, 0.05, Clock())
    assert found.wait_s(50, MOST) == 0
    found.check(50, 1, MOST, None)
    with pytest.raises(Overloaded):
        found.check(100, 1, MOST, None)


def test_who_would_wait_too_long_is_refused_with_a_time() -> None:
    found = admission()
    found.check(2 * MOST, 1, MOST, None)
    with pytest.raises(Overloaded) as caught:
        found.check(3 * MOST, 1, MOST, None)
    assert caught.value.status == 503
    assert caught.value.retry_after_s == 1
    with pytest.raises(Overloaded) as caught:
        admission(batch_s=1).check(10 * MOST, 1, MOST, None)
    assert caught.value.retry_after_s == 10


def test_two_full_batches_may_wait_however_slow_the_model_is() -> None:
    found = admission(batch_s=10)
    found.check(FREE_BATCHES * MOST - 1, 1, MOST, None)
    with pytest.raises(Overloaded):
        found.check(FREE_BATCHES * MOST, 1, MOST, None)


def test_who_has_less_time_than_the_wait_is_refused_at_once() -> None:
    found = admission()
    found.check(MOST, 1, MOST, deadline=100.03)
    with pytest.raises(Overloaded, match="time would be over"):
        found.check(MOST, 1, MOST, deadline=100.01)


def test_without_a_limit_only_the_queue_bounds_what_waits() -> None:
    found = admission(max_wait_s=0, queue=100)
    found.check(99, 1, MOST, None)
    with pytest.raises(Overloaded, match="too many"):
        found.check(99, 2, MOST, None)
