"""Whether a batch that could begin waits a moment for those who are about to ask.

Clients that were answered together ask again together. A model that is slow to begin, such as a network
whose every operation has a price of its own, gains more by one batch of all than that moment costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clouddeploy.server.engine.pace import Pace

PATIENCE_S = 0.001
"""For so long is waited for the next one: the shortest time that uvloop's timers know."""
WORTH = 0.25
"""So much of the batch must be saved as well: on a busy machine measurements differ by less than that."""
TRIAL = 16
"""Of so many batches one waits for one example more than came together lately, to see whether it comes."""


class Gathering:
    """How many examples are waited for, as learnt from how many came together.

    Args:
        pace: tells what a larger batch saves.
        most: examples that make a batch.
    """

    def __init__(self, pace: Pace, most: int) -> None:
        self._pace, self._most = pace, most
        self._together = 1
        self._wanted = self._seen = 0
        self._batches = 0

    def wanted(self, size: int) -> int:
        """The number of examples with which to begin; 0 is to begin now.

        That is so after a wait in which none came, too.

        Args:
            size: examples that wait, 1 or more.
        """
        wanted = self._wanted
        if not wanted:
            self._batches += 1
            self._learn(size)
            wanted = min(self._together + (self._batches % TRIAL == 0), self._most)
        elif not self._seen < size < wanted:
            self._together, self._wanted = max(1, min(size, self._most)), 0
            return 0
        self._seen = size
        self._wanted = wanted if size < wanted and self._pays(size, wanted) else 0
        return self._wanted

    def better_later(self, size: int) -> bool:
        """Whether `wanted` would let `size` examples wait, as far as is known without a trial."""
        self._learn(size)
        return 0 < size < self._together and self._pays(size, self._together)

    def _learn(self, size: int) -> None:
        self._together = min(max(self._together, size), self._most)

    def _pays(self, size: int, wanted: int) -> bool:
        """Whether a batch of `wanted` is so much shorter than two, of which the first has `size`."""
        first, second, both = (self._pace.expected(n) or 0.0 for n in (size, wanted - size, wanted))
        return first + second - both > max(PATIENCE_S, WORTH * both)
