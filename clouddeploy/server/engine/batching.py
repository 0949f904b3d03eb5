"""Forms batches while the model is busy, so that an idle server adds no delay.

A batch that is fast runs in the event loop: requests that arrived in one turn of it form the batch, and no
thread is waited for. A slow one runs in a thread of its own, and the next batch forms meanwhile.

Of one request the predictions are those that it would get alone, bit by bit where the framework computes
each row for itself; see docs/batching.md for where that holds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.decode import Request
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.engine.admission import FREE_BATCHES, Admission
from clouddeploy.server.engine.codec import Codec
from clouddeploy.server.engine.deadlines import seconds_of
from clouddeploy.server.engine.facts import Batch, Facts
from clouddeploy.server.engine.gathering import PATIENCE_S, Gathering
from clouddeploy.server.engine.jobs import (
    Call,
    Caller,
    Done,
    Job,
    Outcome,
    Overloaded,
    Returned,
    Rows,
    Told,
    key_of,
    out_of_time,
)
from clouddeploy.server.engine.lane import Lane
from clouddeploy.server.engine.pace import Pace
from clouddeploy.server.engine.predicting import Predictor, kept
from clouddeploy.server.engine.waiting import Waiting
from clouddeploy.server.engine.warming import warm_up

if TYPE_CHECKING:
    from clouddeploy.runtime.service import Service
    from clouddeploy.server.exchange import Exchange

NOT_TOLD = "the answer to request %s failed"
log = logging.getLogger(__name__)
__all__ = ["Batch", "Call", "Done", "Engine", "Facts", "Outcome", "Overloaded", "Returned", "Rows"]


class Engine:
    """Answers for one version of a model in one worker.

    Args:
        service: predicts.
        max_batch: examples of one call at the most; a larger request is a batch of its own.
        max_delay_ms: milliseconds that an idle model waits for more requests; with 0 it waits for those
            that are about to come where that was measured to pay (`Gathering`).
        queue: examples that may wait.
        timeout_ms: milliseconds that a client waits unless it says otherwise; 0 is for ever.
        max_wait_ms: milliseconds that what waits may have to, as estimated; 0 for any.
        clock: seconds; deadlines are in its time, which is that of `time.perf_counter`.

    Attributes:
        codec: reads and writes what the service does, faster.
        fast: of the codec.
        check: raises a `WireError` for what isn't to be predicted.
        watchers: each is told of every batch, in the event loop.
    """

    def __init__(
        self,
        service: Service,
        *,
        max_batch: int,
        max_delay_ms: float,
        queue: int,
        timeout_ms: float = 0,
        max_wait_ms: float = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._service, self._clock = service, clock
        self.codec = Codec(service)
        self.fast = self.codec.fast
        self._predictor = Predictor(service, self.fast)
        self._pace = Pace()
        self._max_batch, self._delay_s = max_batch, max_delay_ms / 1000
        self._admission = Admission(self._pace, queue, max_wait_ms / 1000, clock)
        self._queue = queue
        self._free = min(queue, FREE_BATCHES * max_batch)  # may wait without a look at the model's speed
        self._timeout_s = timeout_ms / 1000
        self._typed = bool(service.signature.inputs)
        self._same = self._typed and all(None not in tensor.shape[1:] for tensor in service.signature.inputs)
        self._waiting = Waiting()
        self._gathering, self._gathers = Gathering(self._pace, max_batch), not max_delay_ms
        self._enough = max_batch  # waiting examples with which a batch begins at once
        self._lane: Lane[list[Job]] = Lane("clouddeploy-model", self._in_thread)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._running: list[Job] = []
        self._began = 0.0
        self._last = (0.0, 0.0)
        self._idle: list[asyncio.Future[None]] = []
        self.check: Callable[[Request | Rows], None] | None = None
        self.watchers: list[Callable[[Batch], None]] = []

    @property
    def facts(self) -> Facts:
        """What is known of the model's speed."""
        pace, running = self._pace, self._began
        return Facts(
            mode="loop" if pace.in_loop(1) else "thread",
            example_s=pace.example_s,
            batches=pace.batches,
            waiting=self._waiting.examples,
            running_s=self._clock() - running if running else 0.0,
        )

    @property
    def wait_s(self) -> float:
        """Seconds until what waits now is answered, as measured."""
        most = self._max_batch if self._predictor.together else 1
        return self._admission.wait_s(self._waiting.examples, most)

    @property
    def busy(self) -> bool:
        """Whether a batch is in the thread."""
        return bool(self._running)

    def warm_up(self, example: Any = None) -> None:
        """Predict until the model is quick, and measure it; to be called before the first request.

        Args:
            example: a batch of one as JSON values; by default zeros in the signature's shapes.

        Raises:
            Exception: whatever the model raises on `example`.
        """
        warm_up(self._service, self._predictor, self._pace, self._max_batch, example)

    def ask(self, request: Request | Rows, exchange: Exchange, done: Done, body: bytes = b"") -> None:
        """`submit` for a client, who may go away and may have said for how long it waits.

        Args:
            request: what was asked.
            exchange: who waits; its header ``x-timeout-ms`` tells for how long.
            done: told what came of it.
            body: as in `submit`.

        Raises:
            WireError: ``overloaded``: too many examples wait already; ``bad_request``: no such time.
        """
        self.put(Told(request, self.deadline(exchange), done, "", body, exchange))

    def deadline(self, exchange: Exchange) -> float | None:
        """By when a client wants its answer, in the clock's time; None when it waits for ever.

        Raises:
            WireError: ``bad_request``: its header ``x-timeout-ms`` is no such time.
        """
        text = exchange.request.head.timeout
        timeout_s = self._timeout_s if text is None else seconds_of(text)
        return exchange.started + timeout_s if timeout_s else None

    def submit(
        self,
        request: Request | Rows | Call,
        deadline: float | None,
        done: Done,
        request_id: str = "",
        body: bytes = b"",
        caller: Caller | None = None,
    ) -> None:
        """Answer `request` by calling `done` in the event loop, perhaps before this returns.

        Args:
            request: what was asked, or code that must not run beside the model.
            deadline: by when, in the clock's time.
            done: told what came of it: the body for `Rows` where they could be answered fast, else
                a `Result` or a `WireError`; for a `Call` what it `Returned`, or a `WireError`.
            request_id: for the log.
            body: the bytes of rows that were read fast, to be read thoroughly when they don't fit.
            caller: who waits; nothing is predicted for who is gone.

        Raises:
            WireError: ``overloaded``: too many examples wait already.
        """
        self.put(Told(request, deadline, done, request_id, body, caller))

    def put(self, job: Job) -> None:
        """Let `job` wait for its batch; it is told in the event loop, perhaps before this returns.

        Raises:
            WireError: ``overloaded``: too many examples wait already; whatever `check` raises.
        """
        request, size, deadline = job.request, job.size, job.deadline
        if self.check is not None and type(request) is not Call:
            self.check(request)  # type: ignore[arg-type]
        waiting = self._waiting
        ahead = waiting.examples
        if ahead and (deadline is not None or ahead + size > self._free):
            most = self._max_batch if self._predictor.together else 1
            self._admission.check(ahead, size, most, deadline)
        if not self._same or type(request) is Call:
            job.key = key_of(request, self._typed)
        waiting.append(job)
        if deadline is not None:
            self._watch_deadline(deadline)
        if self._running:
            return
        if ahead + size >= self._enough:
            self._begin()
        elif self._scheduled is None:
            self._schedule(self._delay_s)

    def _schedule(self, delay_s: float) -> None:
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        self._scheduled = loop.call_later(delay_s, self._begin) if delay_s else loop.call_soon(self._begin)

    def _begin(self) -> None:
        """Start the next batch, here or in the thread."""
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        if self._last[1] > PATIENCE_S and self._waits_for_more():
            return
        jobs = self._next()
        if not jobs:
            self._rest()
            return
        size = _size(jobs)
        if type(jobs[0].request) is Call or not self._pace.in_loop(size):
            self._loop = self._loop or asyncio.get_running_loop()
            self._running = jobs
            self._lane.give(jobs)
            return
        outcomes = self._timed(jobs, size)
        if len(self._waiting):
            self._schedule(0)
        self._deliver(jobs, outcomes, self._last)

    def _waits_for_more(self) -> bool:
        """Whether the batch that could begin will begin with the next example, or in a moment."""
        wanted, waiting = 0, self._waiting
        if self._gathers and self._predictor.together and waiting.plain and waiting.examples:
            wanted = self._gathering.wanted(waiting.examples)
        self._enough = wanted or self._max_batch
        if wanted:
            self._schedule(PATIENCE_S)
        return wanted > 0

    def _next(self) -> list[Job]:
        """The next batch; who comes too late for it is told so."""
        most = self._max_batch if self._predictor.together else 1
        self._free = min(self._queue, FREE_BATCHES * most)
        jobs, late = self._waiting.take(most, self._clock())
        if late:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(_tell_late, late)
        return jobs

    def _timed(self, jobs: list[Job], size: int) -> Sequence[Outcome]:
        self._began = began = self._clock()
        outcomes = self._predictor.run(jobs)
        seconds = self._clock() - began
        self._began = 0.0
        if type(jobs[0].request) is not Call:
            self._pace.note(size, seconds)
        self._last = began, seconds
        return outcomes

    def _in_thread(self, jobs: list[Job]) -> None:
        """Predict one batch after the other; the loop is told of each, and begins again when none waits."""
        assert self._loop is not None
        while jobs:
            size = _size(jobs)
            outcomes = [kept(outcome) for outcome in self._timed(jobs, size)]
            later = self._gathers and self._gathering.better_later(self._waiting.examples)
            more = [] if later or self._pace.in_loop(size) else self._next()
            try:
                self._loop.call_soon_threadsafe(self._finished, jobs, outcomes, self._last, more)
            except RuntimeError:
                log.info("the event loop ended before its last batch")
                return
            jobs = more

    def _finished(
        self, jobs: list[Job], outcomes: list[Outcome], when: tuple[float, float], more: list[Job]
    ) -> None:
        self._running = more
        self._deliver(jobs, outcomes, when)
        if not self._running and len(self._waiting):
            self._begin()

    def _deliver(self, jobs: list[Job], outcomes: Sequence[Outcome], when: tuple[float, float]) -> None:
        for job, outcome in zip(jobs, outcomes, strict=True):
            if not job.over:
                job.over = True
                try:
                    job.tell(outcome)
                except Exception:
                    log.exception(NOT_TOLD, job.request_id)
        if self.watchers:
            callers = tuple([job.caller for job in jobs if job.caller is not None])
            batch = Batch(_size(jobs), callers, *when)
            for watcher in self.watchers:
                watcher(batch)
        if self._idle:
            self._rest()

    def _watch_deadline(self, deadline: float) -> None:
        """Let `_expire` be called at the earliest deadline."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        at = loop.time() + max(0.0, deadline - self._clock())
        if self._timer is None or at < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(at, self._expire)

    def _expire(self) -> None:
        """Refuse those whose time is over, also in the batch that runs: they hear it when it is true."""
        self._timer = None
        now = self._clock()
        running = [job for job in self._running if job.deadline is not None and not job.over]
        for job in (*self._waiting.expire(now), *(job for job in running if job.deadline <= now)):  # type: ignore[operator]
            _tell(job, out_of_time())
        coming = [job.deadline for job in running if not job.over and job.deadline is not None]
        following = self._waiting.next_deadline()
        if following is not None:
            coming.append(following)
        if coming:
            self._watch_deadline(min(coming))

    def _rest(self) -> None:
        if self._idle and not self._running and not len(self._waiting):
            for future in self._idle:
                if not future.done():
                    future.set_result(None)
            self._idle.clear()

    async def drained(self) -> None:
        """Return when nothing waits and nothing runs."""
        if self._running or len(self._waiting):
            future = asyncio.get_running_loop().create_future()
            self._idle.append(future)
            await future

    def abandon(self, error: WireError) -> None:
        """Answer everything that waits or runs with `error`: the model won't. What still comes is refused."""
        self.check = _abandoned
        for job in (*self._running, *self._waiting.clear()):
            _tell(job, error)

    def close(self) -> None:
        """End it; what waits is refused, what runs is answered when it is done."""
        for job in self._waiting.clear():
            _tell(job, WireError("not_ready", "the model is unloaded", "try again"))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._lane.close()
        self._rest()


def _abandoned(_: Request | Rows) -> None:
    raise WireError("not_ready", "the model hangs; another worker takes its place", "try again in a moment")


def _size(jobs: list[Job]) -> int:
    size = 0
    for job in jobs:
        size += job.size
    return size


def _tell(job: Job, outcome: Outcome) -> None:
    """Tell the caller; what goes wrong in telling one must not keep it from the others."""
    job.over = True
    try:
        job.tell(outcome)
    except Exception:
        log.exception(NOT_TOLD, job.request_id)


def _tell_late(jobs: list[Job]) -> None:
    for job in jobs:
        _tell(job, out_of_time())
