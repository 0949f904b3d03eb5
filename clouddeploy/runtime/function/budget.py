"""Answering before the platform ends the request: predictions that can be given up.

A prediction runs in one worker thread that is kept, and the caller waits for it as long as the request's
time lasts; `GuardedService` tells when the thread can be spared. An alarm signal would cost less (about
1 µs against 5 for handing over), but Python delivers signals between bytecodes: a long call of
onnxruntime or torch would not be interrupted, which is the very case that matters; and raising into the
middle of a handler can leave it in any state. Both frameworks release the interpreter's lock while they
compute, so the waiting thread answers in time.
"""

from __future__ import annotations

import contextvars
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from clouddeploy.runtime.errors import WireError

MARGIN_S = 0.25
"""Seconds kept for the answer itself; of a short budget a tenth."""

LEAST_S = 0.01
"""With fewer seconds left nothing is begun."""


def seconds_for(remaining_ms: float) -> float:
    """How long a prediction may take when the platform ends the request in `remaining_ms`."""
    remaining_s = max(0.0, remaining_ms / 1000)
    return remaining_s - min(MARGIN_S, remaining_s / 10)


class Stuck(SystemExit):
    """An earlier prediction never ended; only a new process helps, so this one ends.

    awslambdaric lets `SystemExit` pass: the process exits with this text on its log, this request fails
    with ``Runtime.ExitError``, and Lambda starts another environment for the next.
    """


class _Job:
    def __init__(self, act: Callable[[], Any]) -> None:
        self.act = act
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        try:
            self.result = self.act()
        except BaseException as error:  # noqa: BLE001  # raised again where the result is awaited
            self.error = error
        self.done.release()


class Worker:
    """One thread that runs one thing at a time; started at the first use, in a copy of that context."""

    def __init__(self) -> None:
        self._go = threading.Lock()
        self._go.acquire()
        self._job: _Job | None = None
        self._late: _Job | None = None
        self._thread: threading.Thread | None = None

    def run(self, act: Callable[[], Any], seconds: float) -> Any:
        """What `act` returns or raises, if it ends within `seconds`.

        Raises:
            WireError: ``out_of_time``; `act` runs on, and its thread's stack is in the error's notes.
            Stuck: what an earlier call gave up on has not ended within `seconds` either.
        """
        ends = time.monotonic() + seconds
        if seconds < LEAST_S:
            raise self._out_of_time(seconds)
        if self._late is not None:
            if not self._late.done.acquire(timeout=seconds):
                raise Stuck("an earlier prediction never ended: this execution environment ends itself")
            self._late = None
        job = self._job = _Job(act)
        self._start()
        self._go.release()
        if not job.done.acquire(timeout=max(0.0, ends - time.monotonic())):
            self._late = job
            raise self._out_of_time(seconds)
        if job.error is not None:
            raise job.error
        return job.result

    def _start(self) -> None:
        if self._thread is None:
            context = contextvars.copy_context()  # numpy keeps its errstate there, as a handler's load set it
            self._thread = threading.Thread(
                target=context.run, args=(self._loop,), name="predict", daemon=True
            )
            self._thread.start()

    def _loop(self) -> None:
        while True:
            self._go.acquire()
            job, self._job = self._job, None
            if job is not None:
                job.run()
            del job  # else the last request's arrays would be kept

    def _out_of_time(self, seconds: float) -> WireError:
        error = WireError(
            "out_of_time",
            f"the prediction did not end within the {seconds:.2f} s that this request had",
            "try again, send fewer examples in one request, or give the function more time or memory",
        )
        frame = sys._current_frames().get(self._thread.ident or 0) if self._thread else None
        if frame is not None:
            error.add_note(f"The prediction was at:\n{''.join(traceback.format_stack(frame)[-12:])}")
        return error
