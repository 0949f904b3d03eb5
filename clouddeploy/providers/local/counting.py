"""What the service's requests were like: counted where every one of them passes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

BUCKET_S = 10.0
KEPT = int(24 * 3600 / BUCKET_S)


@dataclass
class Bucket:
    """The requests that ended within one stretch of time."""

    start: float
    requests: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0
    took_ms: float = 0.0


class Counts:
    """Requests of the past day.

    Args:
        clock: seconds, any zero.
        bucket_s: seconds that are counted together.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, bucket_s: float = BUCKET_S) -> None:
        self._clock, self._bucket_s = clock, bucket_s
        self._buckets: deque[Bucket] = deque(maxlen=KEPT)

    def add(self, status: int, took_ms: float) -> None:
        """One request has ended."""
        now = self._clock()
        if not self._buckets or now - self._buckets[-1].start >= self._bucket_s:
            self._buckets.append(Bucket(now - now % self._bucket_s))
        bucket = self._buckets[-1]
        bucket.requests += 1
        bucket.errors_4xx += 400 <= status < 500
        bucket.errors_5xx += status >= 500
        bucket.took_ms += took_ms

    def over(self, since_s: float) -> dict[str, float]:
        """Figures of the past `since_s` seconds, to the bucket; the latency is the mean."""
        start = self._clock() - since_s - self._bucket_s
        found = [bucket for bucket in self._buckets if bucket.start > start]
        requests = sum(bucket.requests for bucket in found)
        return {
            "requests": float(requests),
            "errors_4xx": float(sum(bucket.errors_4xx for bucket in found)),
            "errors_5xx": float(sum(bucket.errors_5xx for bucket in found)),
            "latency_ms": sum(bucket.took_ms for bucket in found) / requests if requests else 0.0,
        }


class Level:
    """A number that goes up and down, and its mean over time.

    Args:
        clock: seconds, any zero.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.now = 0
        self._area = 0.0
        self._at = self._began = clock()

    def change(self, by: int) -> None:
        """Up or down."""
        at = self._clock()
        self._area += self.now * (at - self._at)
        self._at = at
        self.now += by

    def take_mean(self) -> float:
        """The mean since the last time this was asked."""
        self.change(0)
        passed = self._at - self._began
        mean = self._area / passed if passed > 0 else float(self.now)
        self._area, self._began = 0.0, self._at
        return mean
