"""Quantiles out of buckets."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.monitoring.buckets import (
    EXAMPLES,
    SECONDS,
    SHOWN_SECONDS,
    bucket_of,
    coarser,
    quantile,
)

seconds = st.floats(5e-5, 80, allow_nan=False)


def counted(values: list[float]) -> list[float]:
    counts = [0.0] * (len(SECONDS) + 1)
    for value in values:
        counts[bucket_of(SECONDS, value)] += 1
    return counts


@given(st.lists(seconds, min_size=1, max_size=300), st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_lies_in_the_bucket_of_numpys(values: list[float], share: float) -> None:
    true = float(np.percentile(values, share * 100, method="inverted_cdf"))
    found = quantile(SECONDS, counted(values), share)
    assert found is not None
    at = bucket_of(SECONDS, true)
    low = SECONDS[at - 1] if at else 0.0
    assert low * (1 - 1e-9) <= found <= SECONDS[at] * (1 + 1e-9)


@given(st.lists(seconds, min_size=1, max_size=100))
def test_quantiles_rise_with_their_share(values: list[float]) -> None:
    found = [quantile(SECONDS, counted(values), share / 20) or 0.0 for share in range(21)]
    assert all(one <= two * (1 + 1e-12) for one, two in pairwise(found))


def test_many_values_of_one_distribution_are_told_to_a_few_percent() -> None:
    values = np.random.default_rng(1).lognormal(-6, 0.7, 100_000)
    counts = np.bincount(np.searchsorted(SECONDS, values), minlength=len(SECONDS) + 1).tolist()
    for share in (0.5, 0.95, 0.99):
        assert quantile(SECONDS, counts, share) == pytest.approx(np.quantile(values, share), rel=0.05)


def test_nothing_has_no_quantile_and_what_is_beyond_has_the_highest_bound() -> None:
    assert quantile(SECONDS, [0.0] * (len(SECONDS) + 1), 0.5) is None
    assert quantile(SECONDS, counted([500.0]), 0.5) == SECONDS[-1]


def test_bounds_fit_from_fifty_microseconds_to_a_minute() -> None:
    assert SECONDS[0] == 5e-5
    assert SECONDS[-1] >= 60
    assert max(two / one for one, two in pairwise(SECONDS)) < 1.3
    assert set(SHOWN_SECONDS) <= set(SECONDS)
    assert list(EXAMPLES) == sorted(EXAMPLES)


@given(st.lists(seconds, max_size=100))
def test_fewer_bounds_count_the_same_values(values: list[float]) -> None:
    shown = coarser(SECONDS, counted(values), SHOWN_SECONDS)
    assert sum(shown) == len(values)
    for at, bound in enumerate(SHOWN_SECONDS):
        assert sum(shown[: at + 1]) == sum(value <= bound for value in values)
