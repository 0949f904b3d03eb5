"""Which requests may wait: no more than can be answered soon, whatever comes.

A queue doesn't make a model faster. What waits in it longer than a client does is work for nobody, so it is
refused while it still costs next to nothing, and those who are let in are answered about as fast as ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from clouddeploy.server.engine.jobs import Overloaded

if TYPE_CHECKING:
    from clouddeploy.server.engine.pace import Pace

FREE_BATCHES = 2
"""Full batches that may wait however long they take: with fewer the next batch wouldn't always be full."""


class Admission:
    """Decides by what waits and by the model's speed.

    Args:
        pace: the model's speed, as measured.
        queue: examples that may wait at the most.
        max_wait_s: seconds that they may have to wait, as estimated; 0 for any.
        clock: seconds; deadlines are in its time.
    """

    def __init__(
        self, pace: Pace, queue: int, max_wait_s: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._pace, self._queue, self._max_wait_s, self._clock = pace, queue, max_wait_s, clock

    def wait_s(self, examples: int, most: int) -> float:
        """Seconds until `examples` that wait are answered, in batches of `most`."""
        full, rest = divmod(examples, most)
        whole_s = self._pace.expected(most) or 0.0
        rest_s = (self._pace.expected(rest) or 0.0) if rest else 0.0
        return full * whole_s + (min(rest_s, whole_s) if whole_s else rest_s)

    def check(self, ahead: int, size: int, most: int, deadline: float | None) -> None:
        """Let a request in, or not.

        Args:
            ahead: examples that wait already.
            size: its own.
            most: examples of one batch.
            deadline: of the request.

        Raises:
            Overloaded: it would wait too long.
        """
        wait_s = self.wait_s(ahead, most)
        if ahead + size > self._queue:
            raise Overloaded("too many requests wait for the model", wait_s)
        if deadline is not None and self._clock() + wait_s > deadline:
            raise Overloaded("the request's time would be over before it was answered", wait_s)
        if self._max_wait_s and wait_s > self._max_wait_s and ahead + size > FREE_BATCHES * most:
            raise Overloaded("too many requests wait for the model", wait_s - self._max_wait_s)
