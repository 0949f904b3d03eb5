"""Adds up what the workers of one server have counted, as anyone who has their folder can."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clouddeploy.monitoring.cells import SUFFIX, Reading
from clouddeploy.monitoring.families import (
    ANSWERED,
    BY_NAME,
    GAUGE,
    HISTOGRAM,
    REQUEST_SECONDS,
    REQUESTS,
    UP,
    WEIGHT,
    Family,
)

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """A histogram at one moment.

    Args:
        counts: how many values each bucket has; one more than the metric's bounds.
        total: their sum.
    """

    counts: list[float]
    total: float

    @property
    def size(self) -> float:
        """How many values."""
        return sum(self.counts)

    def plus(self, other: Counted) -> Counted:
        """Both together."""
        pairs = zip(self.counts, other.counts, strict=True)
        return Counted([one + two for one, two in pairs], self.total + other.total)

    def since(self, before: Counted | None) -> Counted:
        """What was counted after `before`."""
        if before is None:
            return self
        pairs = zip(self.counts, before.counts, strict=True)
        return Counted([max(0.0, now - then) for now, then in pairs], max(0.0, self.total - before.total))


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that runs.

    Args:
        number: its place among the workers.
        process: its process id.
        started: seconds since 1970.
    """

    number: int
    process: int
    started: float


@dataclass
class Snapshot:
    """What all workers have counted up to one moment."""

    numbers: dict[str, dict[Labels, float]] = field(default_factory=dict)
    histograms: dict[str, dict[Labels, Counted]] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)

    def set(self, family: Family, labels: Labels, value: float) -> None:
        """Note a counter's or gauge's value."""
        self.numbers.setdefault(family.name, {})[labels] = value

    def number(self, family: Family) -> float:
        """The sum over all labels."""
        return sum(self.numbers.get(family.name, {}).values())

    def of(self, family: Family) -> Mapping[Labels, float]:
        """A counter's or gauge's values by their labels."""
        return self.numbers.get(family.name, {})

    def histogram(self, family: Family) -> Counted:
        """A histogram over all labels."""
        return together(family, self.histograms.get(family.name, {}).values())

    def add_number(self, family: Family, labels: Labels, value: float) -> None:
        """Add a worker's value: counts and levels add up, shares are the same in each."""
        known = self.numbers.setdefault(family.name, {})
        known[labels] = (
            max(known.get(labels, 0.0), value) if _alike(family) else known.get(labels, 0.0) + value
        )

    def add_histogram(self, family: Family, labels: Labels, counted: Counted) -> None:
        """Add a worker's."""
        known = self.histograms.setdefault(family.name, {})
        known[labels] = known[labels].plus(counted) if labels in known else counted


def _alike(family: Family) -> bool:
    """Whether each worker has the same value, or one of its own of which the highest counts."""
    return family is WEIGHT or family.name.endswith("_load_seconds")


def together(family: Family, several: Iterable[Counted]) -> Counted:
    """The sum of histograms of one metric."""
    found = Counted([0.0] * (len(family.bounds) + 1), 0.0)
    for counted in several:
        found = found.plus(counted)
    return found


class Gatherer:
    """Reads the files of all workers, those of dead ones too.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readings: dict[Path, Reading] = {}

    def snapshot(self) -> Snapshot:
        """The sums now."""
        found = Snapshot()
        # Files are taken over but never removed while the server runs, so a reading stays good.
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            reading = self._readings.get(path)
            if reading is None:
                reading = self._readings[path] = Reading(path)
            reading.refresh()
            _add(found, reading)
        found.workers = _one_a_seat(self._readings.values())
        found.set(UP, (), float(len(found.workers)))
        _derive(found)
        return found


def _one_a_seat(readings: Iterable[Reading]) -> list[Worker]:
    """The living workers; while one replaces another, the younger."""
    living = {
        reading.worker: Worker(reading.worker, reading.process, reading.started)
        for reading in sorted(readings, key=lambda one: one.started)
        if reading.alive
    }
    return [living[number] for number in sorted(living)]


def _add(found: Snapshot, reading: Reading) -> None:
    for entry in reading.entries:
        family = BY_NAME.get(entry.family)
        if family is None or (family.kind == GAUGE and not reading.alive):
            continue
        if family.kind == HISTOGRAM:
            *counts, total = reading.numbers[entry.at : entry.at + family.cells].tolist()
            found.add_histogram(family, entry.labels, Counted(counts, total))
        else:
            found.add_number(family, entry.labels, reading.numbers[entry.at])


def _derive(found: Snapshot) -> None:
    """Requests and their times, out of what is kept by all labels at once."""
    for labels, counted in found.histograms.pop(ANSWERED.name, {}).items():
        _, route, model, version, _ = labels
        found.add_number(REQUESTS, labels, counted.size)
        found.add_histogram(REQUEST_SECONDS, (route, model, version), counted)
