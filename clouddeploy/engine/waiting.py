"""Waiting for a cloud, so that Ctrl-C, a failure elsewhere and the deploy's deadline end it at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from clouddeploy.engine.events import SCOPE, Cancelled, Scope, Stop
from clouddeploy.errors import Timeout

T = TypeVar("T")


def check_cancelled() -> None:
    """End the step here if it should give up; does nothing outside an apply.

    Raises:
        Cancelled: the apply was interrupted, or another step failed.
    """
    scope = SCOPE.get()
    if scope is not None and scope.stop.asked:
        raise Cancelled


def pause(seconds: float) -> None:
    """Wait `seconds`, at most until the deploy's deadline.

    Raises:
        Cancelled: the step should give up.
        Timeout: the deploy's deadline passed.
    """
    scope = SCOPE.get()
    left_s = _left_s(scope)
    _sleep(scope, min(seconds, left_s))
    if left_s < seconds:
        raise out_of_time("pausing before another attempt")


def wait_until(
    check: Callable[[], T | None],
    *,
    what: str,
    timeout_s: float,
    first_s: float = 1.0,
    factor: float = 1.3,
    most_s: float = 15.0,
) -> T:
    """Call `check` until it returns something other than None or False, and return that.

    Args:
        check: looks once; returns None (or False) for 'not yet', raises to end the wait.
        what: what is waited for, such as ``endpoint digits to be InService``.
        timeout_s: seconds to wait at most; the deploy's own deadline may end it earlier.
        first_s: seconds between the first two looks.
        factor: how much longer each further wait is.
        most_s: seconds between two looks at most.

    Raises:
        Timeout: it took too long; no verdict on what was waited for.
        Cancelled: the step should give up.
    """
    scope = SCOPE.get()
    began = time.monotonic()
    pause_s = first_s
    while True:
        check_cancelled()
        # Measured before the look, so that the last look comes after the last wait.
        spent_s, left_s = time.monotonic() - began, _left_s(scope)
        found = check()
        if found is not None and found is not False:
            return found
        if left_s <= 0:
            raise out_of_time(f"waiting for {what}")
        if spent_s >= timeout_s:
            raise Timeout(
                f"waited {timeout_s:g} s for {what}",
                why="it did not come about in that time; it may still",
                fix="run the same command again: it continues from what is there",
            )
        if scope is not None:
            scope.event("waiting", f"waiting for {what}")
        _sleep(scope, min(pause_s, left_s, max(0.0, timeout_s - (time.monotonic() - began))))
        pause_s = min(pause_s * factor, most_s)


def _sleep(scope: Scope | None, seconds: float) -> None:
    stop = scope.stop if scope else Stop()
    if stop.wait(max(0.0, seconds)):
        raise Cancelled


def _left_s(scope: Scope | None) -> float:
    if scope is None or scope.deadline is None:
        return float("inf")
    return scope.deadline - time.monotonic()


def out_of_time(doing: str) -> Timeout:
    """The error for a deploy whose own time limit passed while it was `doing` something."""
    return Timeout(
        f"the deploy's time limit passed while {doing}",
        why="the limit holds for the deploy as a whole",
        fix="give it a larger timeout_s, or run the same command again",
    )
