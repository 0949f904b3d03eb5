"""When a request is sent again, and how much of that a client allows itself.

The budget is that of gRPC's retry throttling (gRFC A6): retries use it up, successes fill it slowly, so that
a server that fails for everybody gets about a tenth more requests from retries, and not four times as many.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from clouddeploy.errors import SpecError
from clouddeploy.validation import check_flag, check_number

FULL = 10.0
GAIN = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Retries:
    """When a request is sent again.

    Args:
        attempts: how often it is sent at the most, 1 to 20.
        first_s: seconds of the first pause; each further one is up to twice as long.
        most_s: seconds of the longest pause. A server that asks for a longer one isn't asked again.
        repeat_lost: also repeat predictions whose answer was lost on the way, or for which a proxy in
            between answered 502 or 504. The model may then compute them twice; switch it off when that
            does harm.
    """

    attempts: int = 4
    first_s: float = 0.1
    most_s: float = 5.0
    repeat_lost: bool = True

    def __post_init__(self) -> None:
        check_number(self, "attempts", self.attempts, 1, 20, "attempts")
        check_number(self, "first_s", self.first_s, 0, 3600, "seconds", whole=False)
        check_number(self, "most_s", self.most_s, 0, 3600, "seconds", whole=False)
        check_flag(self, "repeat_lost", self.repeat_lost)
        if self.first_s > self.most_s:
            raise SpecError(
                f"Retries.first_s is {self.first_s!r}", why=f"most_s is {self.most_s!r}", fix="make it less"
            )

    def pause_s(self, retry: int, chance: float) -> float:
        """Seconds before retry number `retry` (1, 2, …); `chance` from 0 to 1 spreads the clients."""
        ceiling = min(self.most_s, self.first_s * 2.0 ** (retry - 1))
        return ceiling * (0.5 + chance / 2)


class Budget:
    """Retries that a client has left; shared by its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens = FULL

    def take(self) -> bool:
        """Whether one more retry is allowed; it is counted then."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def forked(self) -> None:
        """In a new process: nobody holds the lock."""
        self._lock = threading.Lock()

    def succeeded(self) -> None:
        """A request was answered."""
        with self._lock:
            self._tokens = min(FULL, self._tokens + GAIN)
