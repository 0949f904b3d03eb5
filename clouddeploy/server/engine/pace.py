"""How long a model takes, as measured, and from that where it should run and when a queue is empty."""

from __future__ import annotations

LONGEST_S = 0.004
"""The event loop is given to a batch for so long at the most: everything else waits meanwhile."""
SHORT_S = 0.002
"""A batch size that ran in the thread comes back into the loop below this."""
SHARE = 0.2
"""Weight of the newest measurement. One of many times the usual is a pause of the machine more often
than a change of the model, so it counts as `OUTLIER` times the usual at the most."""
OUTLIER = 4.0
STUCK_S = 0.02
"""Twice in a row so long and the model has become slow: no need to learn it step by step."""
SIZES = 40


class Pace:
    """Seconds for a batch by its size, each power of two of examples measured for itself."""

    def __init__(self) -> None:
        self._seconds = [0.0] * SIZES
        self._in_thread = [True] * SIZES
        self._long_before = False
        self.example_s = 0.0
        self.batches = 0

    def expected(self, size: int) -> float | None:
        """Seconds that a batch of `size` examples will take; None while nothing is known.

        A size that wasn't measured yet takes as long as a larger one at the most, and as many times
        longer than a smaller one as it is larger.
        """
        at = min(size.bit_length(), SIZES - 1)
        if self._seconds[at]:
            return self._seconds[at]
        for lower in range(at - 1, 0, -1):
            if self._seconds[lower]:
                return self._seconds[lower] * 2.0 ** (at - lower)
        return next((seconds for seconds in self._seconds[at:] if seconds), None)

    def in_loop(self, size: int) -> bool:
        """Whether a batch of `size` examples is short enough for the event loop."""
        at = min(size.bit_length(), SIZES - 1)
        seconds = self._seconds[at] or self.expected(size)
        if seconds is None:
            return False
        if self._in_thread[at]:
            self._in_thread[at] = seconds >= SHORT_S
        else:
            self._in_thread[at] = seconds > LONGEST_S
        return not self._in_thread[at]

    def begin(self, size: int, seconds: float) -> None:
        """A batch of `size` examples took `seconds` in the warm-up, of which the quickest time counts."""
        at = min(size.bit_length(), SIZES - 1)
        self._seconds[at] = min(seconds, self._seconds[at] or seconds)
        self._in_thread[at] = self._seconds[at] > LONGEST_S
        self.example_s = self._seconds[at] / size

    def note(self, size: int, seconds: float) -> None:
        """A batch of `size` examples took `seconds`."""
        at = min(size.bit_length(), SIZES - 1)
        usual = self._seconds[at]
        long = seconds > STUCK_S
        if not usual or (long and self._long_before):
            self._seconds[at] = seconds
        else:
            self._seconds[at] = usual + (min(seconds, usual * OUTLIER) - usual) * SHARE
        self._long_before = long
        each = self._seconds[at] / size
        self.example_s = each if not self.example_s else self.example_s + (each - self.example_s) * SHARE
        self.batches += 1
