"""Latencies in few numbers, each to within a tenth of a percent.

The layout is that of HdrHistogram: buckets double in width, and each is divided evenly, so that the relative
error is the same for a microsecond and for an hour.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

BITS = 10
ERROR = 2.0**-BITS
"""Largest relative error of a quantile: half a sub-bucket's width by its lowest value."""


class Histogram:
    """Counts of durations.

    Attributes:
        count: durations recorded.
        total_s: their sum, exact.
        low_s: the shortest, exact; infinity while there is none.
        high_s: the longest, exact; 0 while there is none.
    """

    __slots__ = ("_counts", "count", "high_s", "low_s", "total_s")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.total_s = 0.0
        self.low_s = math.inf
        self.high_s = 0.0

    def record(self, seconds: float) -> None:
        """Count one duration; what is below zero counts as zero."""
        seconds = max(seconds, 0.0)
        value = int(seconds * 1e9)
        shift = max(value.bit_length() - BITS, 0)
        key = (shift << BITS) | (value >> shift)
        self._counts[key] = self._counts.get(key, 0) + 1
        self.count += 1
        self.total_s += seconds
        if seconds > self.high_s:
            self.high_s = seconds
        if seconds < self.low_s:
            self.low_s = seconds

    def add(self, other: Histogram) -> None:
        """Count what `other` counted."""
        for key, count in other._counts.items():
            self._counts[key] = self._counts.get(key, 0) + count
        self.count += other.count
        self.total_s += other.total_s
        self.low_s = min(self.low_s, other.low_s)
        self.high_s = max(self.high_s, other.high_s)

    def quantile(self, share: float) -> float:
        """Seconds that `share` (0 to 1) of the durations don't exceed; NaN while there is none."""
        if not self.count:
            return math.nan
        wanted = max(1, math.ceil(share * self.count))
        if wanted >= self.count:
            return self.high_s
        for seconds, before in self.steps():
            if before >= wanted:
                return seconds
        return self.high_s

    @property
    def mean_s(self) -> float:
        """Seconds on average, exact; NaN while there is none."""
        return self.total_s / self.count if self.count else math.nan

    def steps(self) -> Iterator[tuple[float, int]]:
        """Each duration counted, ascending, and how many were no longer than it."""
        seen = 0
        for key in sorted(self._counts):
            seen += self._counts[key]
            shift, top = key >> BITS, key & ((1 << BITS) - 1)
            middle = ((top << shift) + ((1 << shift) - 1) / 2) / 1e9
            yield min(max(middle, self.low_s), self.high_s), seen
