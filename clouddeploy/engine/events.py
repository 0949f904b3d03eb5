"""What an apply tells while it runs, and how a resource tells it.

A resource calls `report` with no reference to the apply that runs it: the running step is known by
a context variable, which each worker thread gets a copy of. Outside an apply `report` does nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "step-started",
    "step-done",
    "step-failed",
    "progress",
    "waiting",
    "undo-started",
    "undo-done",
    "undo-failed",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened during an apply.

    Args:
        kind: what happened.
        key: key of the resource it happened to; empty for the apply as a whole.
        action: the step's action, such as ``create``.
        text: a short sentence for people.
        done: units done so far (bytes for an upload), where they can be counted.
        total: units in all, where they are known.
        elapsed_s: seconds since the step began.
    """

    kind: Kind
    key: str
    action: str = ""
    text: str = ""
    done: int | None = None
    total: int | None = None
    elapsed_s: float = 0.0


Emit = Callable[[Event], None]


class Cancelled(BaseException):
    """The running step should give up: the apply was interrupted, or another step failed.

    Not an `Exception`, so that a resource which retries on errors doesn't retry on this. Clean up
    in ``finally`` and let it pass.
    """


class Stop:
    """Asks the steps that share it to give up; wakes those that wait."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def asked(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def ask(self) -> None:
        """Ask for the stop; asking twice is the same as once."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds`; True as soon as the stop is asked for."""
        return self._event.wait(seconds)


class Speaker:
    """Passes events on to one listener, one at a time, from whichever thread they come.

    A listener that raises is not heard again, and the log says so: a broken progress bar must
    neither fail a deploy nor stop its undo.
    """

    def __init__(self, emit: Emit | None) -> None:
        self._emit = emit
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if self._emit is None:
                return
            try:
                self._emit(event)
            except Exception:  # noqa: BLE001 - logged below
                self._emit = None
                _log.exception("the listener of deploy events failed and is not told any more")


@dataclass(frozen=True, slots=True)
class Scope:
    """What code inside a step can know of the apply that runs it.

    Args:
        key: key of the step's resource.
        action: the step's action.
        tell: takes events.
        stop: asked for when the step should give up.
        deadline: `time.monotonic` value after which waiting ends, or None.
        began: `time.monotonic` value when the step began.
    """

    key: str
    action: str
    tell: Emit
    stop: Stop
    deadline: float | None = None
    began: float = field(default_factory=time.monotonic)

    def event(self, kind: Kind, text: str = "", done: int | None = None, total: int | None = None) -> None:
        """Tell an event of this step."""
        elapsed_s = time.monotonic() - self.began
        self.tell(Event(kind, self.key, self.action, text, done, total, elapsed_s))


SCOPE: ContextVar[Scope | None] = ContextVar("clouddeploy_step", default=None)
"""The step that this thread runs."""


def report(text: str, done: int | None = None, total: int | None = None) -> None:
    """Tell how far the running step is; does nothing outside an apply.

    Long work that never waits, such as an upload, is ended here when the step should give up.

    Args:
        text: what is being done, such as ``uploading model.tar.gz``.
        done: units done so far, such as bytes.
        total: units in all.

    Raises:
        Cancelled: the step should give up.
    """
    scope = SCOPE.get()
    if scope is None:
        return
    scope.event("progress", text, done, total)
    if scope.stop.asked:
        raise Cancelled
