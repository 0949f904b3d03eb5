from __future__ import annotations

import time

import pytest

from clouddeploy.engine import check_cancelled, pause, report, wait_until
from clouddeploy.errors import Timeout


def test_waiting_returns_what_the_look_found() -> None:
    answers = iter([None, False, 0])
    assert wait_until(lambda: next(answers), what="x", timeout_s=5, first_s=0) == 0


def test_an_error_of_the_look_ends_the_wait() -> None:
    def look() -> None:
        raise LookupError("it failed")

    with pytest.raises(LookupError):
        wait_until(look, what="x", timeout_s=60, first_s=60)


def test_waiting_too_long_tells_what_for_and_how_long() -> None:
    looks: list[float] = []
    with pytest.raises(Timeout, match=r"waited 0\.05 s for endpoint digits") as caught:
        wait_until(
            lambda: looks.append(time.monotonic()), what="endpoint digits", timeout_s=0.05, first_s=0.01
        )
    assert "run the same command again" in caught.value.fix
    assert looks[-1] - looks[0] >= 0.05, "the last look came before the time was over"


def test_the_pauses_grow_up_to_a_limit() -> None:
    looks: list[float] = []
    with pytest.raises(Timeout):
        wait_until(lambda: looks.append(0.0), what="x", timeout_s=0.1, first_s=0.001, factor=100, most_s=0.02)
    assert 4 <= len(looks) <= 20


def test_outside_an_apply_nothing_is_told_and_pausing_just_pauses() -> None:
    report("nobody hears this", 1, 2)
    check_cancelled()
    pause(0)
