from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.server.engine.pace import LONGEST_S, SHORT_S, Pace


def test_before_anything_is_known_the_loop_is_not_risked() -> None:
    pace = Pace()
    assert pace.expected(1) is None
    assert not pace.in_loop(1)


def test_a_fast_model_runs_in_the_loop_and_a_slow_one_does_not() -> None:
    pace = Pace()
    pace.begin(1, 0.0001)
    pace.begin(32, 0.010)
    assert pace.in_loop(1)
    assert not pace.in_loop(32)
    assert pace.example_s == 0.010 / 32


def test_of_the_warm_up_the_quickest_time_counts() -> None:
    pace = Pace()
    for seconds in (2.0, 0.001, 0.003):
        pace.begin(1, seconds)
    assert pace.expected(1) == 0.001


def test_a_size_not_measured_takes_as_much_longer_as_it_is_larger() -> None:
    pace = Pace()
    pace.begin(1, 0.001)
    assert pace.expected(1000) == 0.001 * 2**9
    assert not pace.in_loop(10_000)
    pace = Pace()
    pace.begin(64, 0.001)
    assert pace.expected(2) == 0.001, "as long as a larger one at the most"


def test_one_pause_of_the_machine_does_not_move_a_model_and_lasting_slowness_does() -> None:
    pace = Pace()
    pace.begin(1, 0.0005)
    pace.note(1, 3.0)
    assert pace.in_loop(1)
    for _ in range(20):
        pace.note(1, 0.02)
    assert not pace.in_loop(1)


def test_two_very_long_predictions_in_a_row_are_enough() -> None:
    pace = Pace()
    pace.begin(1, 0.0001)
    pace.note(1, 0.5)
    pace.note(1, 0.5)
    assert not pace.in_loop(1)


def test_between_the_two_limits_a_model_stays_where_it_is() -> None:
    between = (SHORT_S + LONGEST_S) / 2
    loop, thread = Pace(), Pace()
    loop.begin(1, SHORT_S / 2)
    thread.begin(1, LONGEST_S * 2)
    for pace in (loop, thread):
        for _ in range(100):
            pace.note(1, between)
            pace.in_loop(1)
    assert loop.in_loop(1)
    assert not thread.in_loop(1)
    for _ in range(100):
        thread.note(1, SHORT_S / 2)
    assert thread.in_loop(1)


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(1e-7, 100)), min_size=1, max_size=60))
def test_whatever_is_measured_the_estimates_are_positive_and_bounded(seen: list[tuple[int, float]]) -> None:
    pace = Pace()
    for size, seconds in seen:
        pace.note(size, seconds)
    expected = pace.expected(seen[0][0])
    assert expected is not None
    assert 0 < expected <= 100
    assert 0 < pace.example_s <= 100
