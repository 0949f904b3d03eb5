"""The circuit breaker: a server that answers nothing is left alone for a while."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from clouddeploy.errors import CloudError
from clouddeploy.validation import check_number


@dataclass(frozen=True, kw_only=True, slots=True)
class Breaker:
    """When calls fail at once instead of being tried.

    Args:
        failures: calls in a row without an answer (no connection, none in time, 502 to 504) after which
            the circuit opens; 0 never opens it.
        open_s: seconds that it stays open. Then one call is tried: its answer closes it again.
    """

    failures: int = 8
    open_s: float = 5.0

    def __post_init__(self) -> None:
        check_number(self, "failures", self.failures, 0, 1_000_000, "calls")
        check_number(self, "open_s", self.open_s, 0, math.inf, "seconds", whole=False)


class Circuit:
    """The breaker's state; shared by a client's threads.

    Args:
        breaker: its settings.
        now: a monotonic clock.
    """

    def __init__(self, breaker: Breaker, now: Callable[[], float]) -> None:
        self._breaker = breaker
        self._now = now
        self._lock = threading.Lock()
        self._failed = 0
        self._until = 0.0
        self._trying = False

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        with self._lock:
            if not self._is_open():
                return "closed"
            return "open" if self._now() < self._until else "half-open"

    def _is_open(self) -> bool:
        return 0 < self._breaker.failures <= self._failed

    def enter(self, server: str) -> None:
        """Let a call pass, or not.

        Raises:
            CloudError: the circuit is open (``code="circuit_open"``).
        """
        with self._lock:
            if not self._is_open():
                return
            left = self._until - self._now()
            if left <= 0 and not self._trying:
                self._trying = True
                return
            failed = self._failed
        raise CloudError(
            f"{server} isn't asked: its last {failed} answers failed",
            why=f"the circuit breaker is open for another {max(left, 0):.1f} s",
            fix="wait, and see whether the server runs",
            code="circuit_open",
        )

    def answered(self) -> None:
        """A call got an answer from the server itself."""
        with self._lock:
            self._failed = 0
            self._trying = False

    def failed(self) -> None:
        """A call got none."""
        with self._lock:
            self._failed += 1
            self._trying = False
            self._until = self._now() + self._breaker.open_s

    def forked(self) -> None:
        """In a new process: what the parent's other threads held and tried is no more."""
        self._lock, self._trying = threading.Lock(), False

    def left(self) -> None:
        """A call ended without telling anything about the server: cancelled, or never sent."""
        with self._lock:
            self._trying = False
