"""What is written down while a load runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from clouddeploy.bench.histogram import Histogram


@dataclass
class Second:
    """One second of the measurement.

    Args:
        answers: complete ones that came in it.
        errors: of them those with a status of 400 or more, and requests that failed.
        latency: of the answers.
    """

    answers: int = 0
    errors: int = 0
    latency: Histogram = field(default_factory=Histogram)


@dataclass
class Record:
    """Everything about one run. Times are the loop's.

    Args:
        begin: from when on requests count, by when they were due.
        end: from when on none is due any more.
        seconds: the course, second by second.
        statuses: answers by status.
        failures: requests without an answer, by what happened.
        latency: of answers below 400, from when they were due.
        refusals: latency of the others.
        lag: how late the generator itself was.
        queued: requests that were due while every connection was busy.
        gone: why no connection could be made in the end; empty when one could.
        in_time: answers below 400 that came between begin and end, whenever they were due.
    """

    begin: float
    end: float
    seconds: dict[int, Second] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    refusals: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)
    queued: int = 0
    in_time: int = 0
    gone: str = ""

    def answer(self, status: int, due: float, now: float) -> None:
        """A complete answer came."""
        good = status < 400
        self.in_time += good and self.begin <= now < self.end
        if not self.begin <= due < self.end:
            return
        took = now - due
        self.statuses[status] += 1
        (self.latency if good else self.refusals).record(took)
        second = self._second(now)
        second.answers += 1
        second.latency.record(took)
        second.errors += not good

    def fail(self, what: str, due: float, now: float) -> None:
        """A request has no answer and won't have one."""
        if self.begin <= due < self.end:
            self.failures[what] += 1
            self._second(now).errors += 1

    def late(self, due: float, now: float) -> None:
        """The generator attended to a request that was due."""
        if self.begin <= due < self.end:
            self.lag.record(now - due)

    def _second(self, now: float) -> Second:
        return self.seconds.setdefault(int(now - self.begin), Second())
