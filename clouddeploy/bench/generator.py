"""Sends a load from one event loop, and measures."""

from __future__ import annotations

import asyncio
import gc
import os
import selectors
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clouddeploy.bench.bodies import silent
from clouddeploy.bench.line import Line
from clouddeploy.bench.load import Load
from clouddeploy.bench.record import Record
from clouddeploy.bench.result import BenchResult, result
from clouddeploy.client.answers import told_by
from clouddeploy.errors import CloudError

LEAD_S = 0.02
SWEEP_S = 0.1
AGAIN_S = 0.05
FEW = 500
"""Connections up to which ``select`` is used: it waits to the microsecond, ``epoll`` in milliseconds."""


now_s = time.monotonic


class Generator:
    """One run of a load.

    Args:
        load: what to send.
        tls: trust for https.
    """

    def __init__(self, load: Load, tls: ssl.SSLContext | None = None) -> None:
        self._load = load
        self._data = load.data
        self._tls = load.address.tls(tls)
        self.bodiless = load.method == "HEAD"
        self._idle: list[Line] = []
        self._lines: set[Line] = set()
        self._waiting: deque[float] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._due: Iterator[float] = iter(())
        self._next = 0.0
        self._start = 0.0
        self._record = Record(0.0, 0.0)
        self._gone = ""
        self._over = False
        self._sending = False
        self._stopped = threading.Event()

    async def run(self) -> tuple[Record, float]:
        """Send the load; what was recorded, and the seconds that were measured.

        Raises:
            CloudError: no connection could be made.
        """
        self._loop = asyncio.get_running_loop()
        await self._open_all()
        load = self._load
        self._start = now_s() + LEAD_S
        begin, end = load.counted(self._start)
        self._record = record = Record(begin, end)
        if load.rate is None:
            self._loop.call_at(self._start, self._send_all)
        else:
            self._due = load.due()
            self._next = self._start + next(self._due)
            self._loop.call_at(self._next, self._attend)
        await self._watch()
        self._over = True
        record.gone = self._gone
        for task in self._opening:
            task.cancel()
        for line in list(self._lines):
            line.close()
        await asyncio.sleep(0)
        return record, min(record.end, now_s()) - begin

    def stop(self) -> None:
        """End the measurement now, from any thread; what is under way is still waited for."""
        self._stopped.set()

    async def _open_all(self) -> None:
        wanted = self._load.connections
        try:
            await self._open()
        except OSError as error:
            raise silent(self._load.url, str(error), "unsent") from error
        for first in range(1, wanted, FEW):
            group = range(first, min(first + FEW, wanted))
            await asyncio.gather(*(self._open() for _ in group), return_exceptions=True)

    async def _open(self) -> None:
        address = self._load.address
        name = address.host if self._tls else None
        opening = self._loop.create_connection(
            lambda: Line(self), address.host, address.port, ssl=self._tls, server_hostname=name
        )
        _, line = await asyncio.wait_for(opening, self._load.timeout_s)
        self._lines.add(line)
        self._free(line)

    def _send_all(self) -> None:
        self._sending = True
        for line in [self._idle.pop() for _ in range(len(self._idle))]:
            self._free(line)

    def _attend(self) -> None:
        """Send what is due, and come again when the next is."""
        now, end = now_s(), self._record.end
        while self._next <= now and self._next < end:
            self._record.late(self._next, now)
            if self._idle and not self._waiting:
                self._idle.pop().send(self._data, self._next, now)
            else:
                self._record.queued += self._next >= self._record.begin
                self._waiting.append(self._next)
            self._next = self._start + next(self._due)
        if self._next < end:
            self._loop.call_at(self._next, self._attend)

    def answered(self, line: Line, status: int, *, keep: bool = True) -> None:
        """A line has its answer."""
        now = now_s()
        self._record.answer(status, line.due, now)
        line.due = -1.0
        if keep:
            self._free(line)
        else:
            self._lines.discard(line)
            line.close()
            self._reopen()

    def _free(self, line: Line) -> None:
        if self._waiting:
            line.send(self._data, self._waiting.popleft(), now_s())
        elif self._sending and (now := now_s()) < self._record.end:
            line.send(self._data, now, now)
        else:
            self._idle.append(line)

    def lost(self, line: Line, what: str) -> None:
        """A line is closed; a request on it has failed."""
        if line.due >= 0:
            self._record.fail(what, line.due, now_s())
            line.due = -1.0
        if line in self._lines:
            self._lines.discard(line)
            if line in self._idle:
                self._idle.remove(line)
            self._reopen()

    def _reopen(self) -> None:
        if self._over:
            return

        async def open_again() -> None:
            while not self._over:
                try:
                    await self._open()
                except OSError as error:
                    self._gone = os.strerror(error.errno) if error.errno else str(error)
                    await asyncio.sleep(AGAIN_S)  # what waits meanwhile times out, and is counted
                else:
                    self._gone = ""
                    return

        task = self._loop.create_task(open_again())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _watch(self) -> None:
        """Give up what takes too long, until everything has ended."""
        while True:
            now = now_s()
            if self._stopped.is_set():
                self._record.end = min(self._record.end, now)
            oldest = now - self._load.timeout_s
            while self._waiting and self._waiting[0] < oldest:
                what = "no connection" if self._gone and not self._lines else "timeout"
                self._record.fail(what, self._waiting.popleft(), now)
            busy = [line for line in self._lines if line.due >= 0]
            for line in busy:
                if line.sent < oldest:
                    line.abort("timeout")
            if now >= self._record.end and not busy and not self._waiting:
                return
            await asyncio.sleep(min(SWEEP_S, max(self._record.end - now, 0.005)))


def measure(load: Load, *, tls: ssl.SSLContext | None = None, probe: bool = True) -> BenchResult:
    """Send a load and measure it. Ctrl-C ends it early, with what was measured until then.

    Args:
        load: what to send.
        tls: trust for https; None is the system's.
        probe: first send one request, and refuse to go on when its answer is an error.

    Raises:
        SpecError: the load can't be sent.
        CloudError: the server can't be reached, or refuses the request.
    """
    generator = Generator(load, tls)
    if probe:
        _probe(load, tls)
    outcome: list[BenchResult | BaseException] = []
    done = threading.Event()

    def work() -> None:
        began = time.thread_time()
        try:
            with _quiet(), asyncio.Runner(loop_factory=_loop_factory(load)) as runner:
                record, seconds = runner.run(generator.run())
            busy = (time.thread_time() - began) / (seconds + load.warm_up_s)
            outcome.append(result(load, record, seconds, busy))
        except BaseException as error:  # noqa: BLE001  # raised again by the thread that waits
            outcome.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="clouddeploy-bench")
    thread.start()
    while not done.is_set():
        try:
            done.wait()  # a join that is interrupted may take the thread for ended
        except KeyboardInterrupt:
            generator.stop()
    thread.join()
    (found,) = outcome
    if isinstance(found, BaseException):
        raise found
    return found


def _probe(load: Load, tls: ssl.SSLContext | None) -> None:
    from clouddeploy.client.pool import Pool
    from clouddeploy.client.settings import Timeouts
    from clouddeploy.client.steps import Failure, Send

    pool = Pool(load.address, Timeouts(read_s=load.timeout_s), tls, 1, 1 << 30)
    deadline = time.monotonic() + load.timeout_s
    answer = pool.exchange(Send(load.data, deadline, load.method == "HEAD"))
    pool.close()
    if isinstance(answer, Failure):
        kind = "tls" if isinstance(answer.error, ssl.SSLError) else answer.kind
        raise silent(load.url, str(answer.error), kind) from answer.error
    if answer.status >= 300 and answer.status not in (429, 503):
        told = told_by(answer.body)
        there = answer.headers.get("location")
        raise CloudError(
            f"{load.url} answers {answer.status} to the request that was to be measured",
            why=f"it sends to {there}" if there else told["message"],
            fix=told["fix"] or "correct the URL or the body",
            code=str(answer.status),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """No garbage collection: its pauses would be measured as the server's."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _loop_factory(load: Load) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if load.rate is not None:
        few = load.connections <= FEW
        return (lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) if few else None
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop
