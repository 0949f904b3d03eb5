"""Bounds of histograms, and quantiles out of them.

Times are counted in ten buckets a decade, at the preferred numbers of the series R10 (ISO 3), so that a
quantile is right to a quarter at the worst; every second bound is shown to Prometheus, which pays for each.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

_R10 = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)


def _seconds() -> tuple[float, ...]:
    """From 50 µs to 80 s."""
    numbers = [float(f"{number}e{power}") for power in range(-5, 2) for number in _R10]
    return tuple(number for number in numbers if number >= 5e-5)


SECONDS = _seconds()
"""Upper bounds of the buckets for times, in seconds; what took longer is in one more bucket."""
SHOWN_SECONDS = SECONDS[::2]
"""Those of them that Prometheus sees: 50 µs, 80 µs, 125 µs, 200 µs, 315 µs … 80 s."""
EXAMPLES = tuple(float(n) for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024, 4096))
"""Upper bounds of the buckets for batch sizes."""


def quantile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float | None:
    """The value below which `share` of what was counted lies.

    Args:
        bounds: upper bounds of the buckets, ascending; the last bucket has none.
        counts: how many fell into each bucket; one more than bounds.
        share: 0 to 1.

    Returns:
        Interpolated within its bucket, geometrically where the bucket's lower bound isn't 0; the highest
        bound for what is beyond it; None when nothing was counted.
    """
    total = sum(counts)
    if total <= 0:
        return None
    rank = share * total
    before = 0.0
    for at, count in enumerate(counts):
        if count > 0 and before + count >= rank:
            return _within(bounds, at, (rank - before) / count)
        before += count
    return bounds[-1]


def _within(bounds: Sequence[float], at: int, part: float) -> float:
    if at >= len(bounds):
        return bounds[-1]
    high = bounds[at]
    if at == 0:
        return high * part
    low = bounds[at - 1]
    return float(low * (high / low) ** part)


def bucket_of(bounds: Sequence[float], value: float) -> int:
    """The index of the bucket that `value` falls into."""
    return bisect_left(bounds, value)


def coarser(bounds: Sequence[float], counts: Sequence[float], shown: Sequence[float]) -> list[float]:
    """`counts` added up for fewer bounds, each of which is one of `bounds`."""
    found: list[float] = []
    at = 0
    for bound in shown:
        end = bounds.index(bound) + 1
        found.append(sum(counts[at:end]))
        at = end
    return [*found, sum(counts[at:])]
