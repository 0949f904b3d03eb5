"""Counts what one worker does: cheaply while requests wait, in the shared file a moment later.

What is noted for a histogram is appended to a list, nothing more; the lists are counted by numpy a few
times a second. So the shared file lags by a fraction of a second, which is all that a crash can lose.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clouddeploy.monitoring.cells import Cells, Entry, Full
from clouddeploy.monitoring.families import BY_NAME, GAUGE, HISTOGRAM, SERIES_DROPPED, Family

OTHER = "other"
MOST_SERIES = 512
"""Series of one metric; what comes on top is counted together as ``other``."""
log = logging.getLogger(__name__)


class Histogram:
    """One series of a histogram.

    Attributes:
        note: takes one value.
        extend: takes several.
    """

    __slots__ = ("_bounds", "_cells", "_values", "extend", "note")

    def __init__(self, bounds: Any, cells: Any) -> None:
        self._bounds, self._cells = bounds, cells
        self._values = array("d")
        self.note: Callable[[float], None] = self._values.append
        self.extend: Callable[[list[float]], None] = self._values.fromlist

    def flush(self) -> None:
        """Count what was noted."""
        if not self._values:
            return
        import numpy as np

        values = np.array(self._values)
        del self._values[:]
        buckets = len(self._bounds) + 1
        self._cells[:buckets] += np.bincount(np.searchsorted(self._bounds, values), minlength=buckets)
        self._cells[buckets] += values.sum()


class Number:
    """One series of a counter or a gauge."""

    __slots__ = ("_at", "_numbers")

    def __init__(self, numbers: Any, at: int) -> None:
        self._numbers, self._at = numbers, at

    def add(self, amount: float = 1.0) -> None:
        """Count `amount` more."""
        self._numbers[self._at] += amount

    def set(self, value: float) -> None:
        """Be `value` from now on."""
        self._numbers[self._at] = value


class Recorder:
    """The series of one worker.

    Args:
        folder: where the files of all workers of a server lie; None counts in memory alone.
        worker: this one's number.
    """

    def __init__(self, folder: Path | None, worker: int = 0) -> None:
        try:
            self.cells = Cells(folder, worker)
        except OSError as error:
            log.error("the metrics of this worker aren't shared: %s: %s", folder, error)
            self.cells = Cells(None, worker)
        self._entries: dict[tuple[str, tuple[str, ...]], Entry] = {}
        self._counts: dict[str, int] = {}
        self._bounds: dict[str, Any] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], Histogram] = {}
        for entry in self.cells.entries:
            self._know(entry)
            if entry.family in BY_NAME and BY_NAME[entry.family].kind == GAUGE:
                self.cells.numbers[entry.at] = 0.0  # what a dead worker had in hand is gone

    def _know(self, entry: Entry) -> Entry:
        self._entries[entry.family, entry.labels] = entry
        self._counts[entry.family] = self._counts.get(entry.family, 0) + 1
        return entry

    def _entry(self, family: Family, labels: tuple[str, ...]) -> Entry:
        """The series, made when there is room for it; else the one that stands for all others."""
        found = self._entries.get((family.name, labels))
        if found is not None:
            return found
        other = (OTHER,) * len(labels)
        try:
            if self._counts.get(family.name, 0) >= MOST_SERIES and labels != other:
                raise Full(family.name)
            return self._know(self.cells.add(family.name, labels, family.cells))
        except Full:
            if family is SERIES_DROPPED:
                raise
            self.number(SERIES_DROPPED).add()
            if (family.name, other) in self._entries:
                return self._entries[family.name, other]
            return self._know(self.cells.add(family.name, other, family.cells))

    def number(self, family: Family, *labels: str) -> Number:
        """The series of a counter or gauge."""
        return Number(self.cells.numbers, self._entry(family, labels).at)

    def histogram(self, family: Family, *labels: str) -> Histogram:
        """The series of a histogram; keep it, rather than ask for it with each value."""
        assert family.kind == HISTOGRAM
        entry = self._entry(family, labels)
        found = self._histograms.get((entry.family, entry.labels))
        if found is None:
            import numpy as np

            bounds = self._bounds.setdefault(family.name, np.array(family.bounds))
            numbers: Any = self.cells.numbers
            cells = np.frombuffer(numbers, dtype=np.float64)[entry.at : entry.at + family.cells]
            found = self._histograms[entry.family, entry.labels] = Histogram(bounds, cells)
        return found

    def flush(self) -> None:
        """Bring the shared file up to date."""
        for histogram in self._histograms.values():
            histogram.flush()

    def close(self) -> None:
        """Flush, and give the file up."""
        self.flush()
        self.cells.close()
