"""Quantiles from counts are those of the durations, within the stated error."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.bench.histogram import ERROR, Histogram

durations = st.lists(st.floats(1e-6, 4000), min_size=1, max_size=200)
NANOSECOND = 1e-9


def filled(values: list[float]) -> Histogram:
    found = Histogram()
    for value in values:
        found.record(value)
    return found


@given(durations, st.floats(0, 1))
def test_a_quantile_is_that_of_the_sorted_durations_within_the_error(
    values: list[float], share: float
) -> None:
    rank = max(1, math.ceil(share * len(values)))
    exact = sorted(values)[rank - 1]
    assert abs(filled(values).quantile(share) - exact) <= ERROR * exact + NANOSECOND


@given(durations)
def test_count_sum_lowest_and_highest_are_exact(values: list[float]) -> None:
    found = filled(values)
    assert (found.count, found.low_s, found.high_s) == (len(values), min(values), max(values))
    assert found.quantile(1) == max(values)
    assert math.isclose(found.mean_s, math.fsum(values) / len(values), rel_tol=1e-9)


@given(durations, durations)
def test_two_histograms_added_are_the_histogram_of_both(first: list[float], second: list[float]) -> None:
    both, added = filled(first + second), filled(first)
    added.add(filled(second))
    assert list(added.steps()) == list(both.steps())
    assert (added.count, added.low_s, added.high_s) == (both.count, both.low_s, both.high_s)


@given(durations)
def test_steps_ascend_and_end_with_every_duration(values: list[float]) -> None:
    steps = list(filled(values).steps())
    assert steps == sorted(steps)
    assert steps[-1][1] == len(values)


def test_an_empty_one_has_no_quantile_and_a_negative_duration_is_none() -> None:
    assert math.isnan(Histogram().quantile(0.5))
    assert math.isnan(Histogram().mean_s)
    assert filled([-1.0]).quantile(0.5) == 0
