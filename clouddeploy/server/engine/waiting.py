"""The requests that wait for one model, in order, and what of them makes the next batch."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from clouddeploy.server.engine.jobs import Job


class Waiting:
    """A queue from which whole batches are taken.

    The event loop appends; at any time one other party takes, the loop itself or the model's thread.
    """

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()
        # Of each pair the first is written by who appends, the second by who takes.
        self._arrived = self._left = 0
        self._odd_arrived = self._odd_left = 0  # jobs with a deadline or a key

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def examples(self) -> int:
        """How many examples wait."""
        return self._arrived - self._left

    @property
    def plain(self) -> bool:
        """Whether any of those that wait may be in one batch, whenever it is."""
        return self._odd_arrived == self._odd_left

    def append(self, job: Job) -> None:
        """Let `job` wait."""
        self._arrived += job.size
        if job.deadline is not None or job.key is not None:  # as `_is_odd`, for every request
            self._odd_arrived += 1
        self._jobs.append(job)

    def take(self, most: int, now: float) -> tuple[list[Job], list[Job]]:
        """The next batch, and those whose time was over before it.

        The oldest request is always in it. Those that fit it follow in their order, up to `most`
        examples; others keep their places. Who went away is dropped.

        Args:
            most: examples; a larger request is a batch of its own.
            now: the time by which deadlines are over.
        """
        if self._odd_arrived == self._odd_left and self._arrived - self._left <= most:
            return self._take_all(), []
        batch: list[Job] = []
        late: list[Job] = []
        dropped: list[Job] = []
        passed: list[Job] = []
        size = 0
        key: Any = None
        with self._lock:
            jobs = self._jobs
            while jobs and size < most:
                job = jobs[0]
                if job.over or (job.caller is not None and job.caller.gone):
                    dropped.append(job)
                elif job.deadline is not None and job.deadline <= now:
                    late.append(job)
                elif not batch:
                    key = job.key
                    size = job.size
                    batch.append(job)
                elif job.key != key:
                    passed.append(job)
                elif size + job.size > most:
                    break
                else:
                    size += job.size
                    batch.append(job)
                jobs.popleft()
            for some in (batch, late, dropped):
                self._forget(some)
            if passed:
                jobs.extendleft(reversed(passed))
        return batch, late

    def _take_all(self) -> list[Job]:
        """Those that wait now, whatever comes meanwhile; none has a deadline or a key."""
        with self._lock:
            take = self._jobs.popleft
            found = [take() for _ in range(len(self._jobs))]
            size = 0
            for job in found:
                size += job.size
            self._left += size
        return [job for job in found if not (job.over or (job.caller is not None and job.caller.gone))]

    def _forget(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._left += job.size
            self._odd_left += _is_odd(job)

    def expire(self, now: float) -> list[Job]:
        """Take those whose deadline is over."""
        with self._lock:
            late = [job for job in self._jobs if job.deadline is not None and job.deadline <= now]
            if late:
                kept = [job for job in self._jobs if job not in late]
                self._forget(late)
                self._jobs.clear()
                self._jobs.extend(kept)
        return late

    def next_deadline(self) -> float | None:
        """The earliest deadline of those that wait; None when none has one."""
        return min((job.deadline for job in tuple(self._jobs) if job.deadline is not None), default=None)

    def clear(self) -> list[Job]:
        """Take all."""
        with self._lock:
            found = list(self._jobs)
            self._forget(found)
            self._jobs.clear()
        return found


def _is_odd(job: Job) -> bool:
    """Whether `job` can't be in just any batch at any time."""
    return job.deadline is not None or job.key is not None
