"""The recent past of a server as the dashboard shows it: rates out of differences, quantiles of buckets."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clouddeploy.monitoring import families
from clouddeploy.monitoring.buckets import EXAMPLES, SECONDS, quantile
from clouddeploy.monitoring.gathering import Counted, Snapshot, together
from clouddeploy.monitoring.processes import Machine, machine

EVERY_S = 2.0
NOW_S, RECENT_S, KEPT_S = 10.0, 60.0, 900.0
"""Seconds of the figures at the top, of the tables, and of the curves."""
SHARES = (0.5, 0.95, 0.99)
WATCHING = frozenset(
    (
        "/metrics",
        "/dashboard",
        "/dashboard/data",
        "/health",
        "/live",
        "/ready",
        "/ping",
        "/docs",
        "/openapi.json",
    )
)
"""Routes by which the server is watched rather than used: they count in no figure but their own."""
DASHBOARD = frozenset(("/dashboard", "/dashboard/data"))


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at all workers.

    Args:
        at: seconds of a clock that never goes back.
        time: seconds since 1970.
        snapshot: what they have counted.
        machine: what the machine uses.
    """

    at: float
    time: float
    snapshot: Snapshot
    machine: Machine | None


class History:
    """Looks every now and then, and tells how it goes.

    Args:
        look: counts all workers.
        clock: seconds.
    """

    def __init__(self, look: Callable[[], Snapshot], clock: Callable[[], float] = time.monotonic) -> None:
        self._look, self._clock = look, clock
        self._samples: deque[Sample] = deque()
        self.points: deque[dict[str, float | None]] = deque(maxlen=int(KEPT_S / EVERY_S))

    def sample(self) -> None:
        """Look now."""
        taken = Sample(self._clock(), time.time(), self._look(), machine())
        if self._samples:
            self.points.append(point(self._samples[-1], taken))
        self._samples.append(taken)
        while taken.at - self._samples[0].at > RECENT_S + EVERY_S:
            self._samples.popleft()

    def now(self) -> dict[str, Any]:
        """The figures for the top, the tables and the machine."""
        if not self._samples:
            self.sample()
        last = self._samples[-1]
        short, recent = self._before(NOW_S), self._before(RECENT_S)
        return {
            "time": last.time,
            "now": {**point(short, last), "seconds": last.at - short.at},
            "recent": {"seconds": last.at - recent.at, **tables(recent.snapshot, last)},
            "machine": machines(short, last),
            "requests": sum(
                count
                for labels, count in last.snapshot.of(families.REQUESTS).items()
                if labels[1] not in WATCHING
            ),
        }

    def _before(self, seconds: float) -> Sample:
        """The oldest sample that isn't older than `seconds`."""
        last = self._samples[-1]
        return next(one for one in self._samples if last.at - one.at <= seconds + EVERY_S / 2)


def point(before: Sample, after: Sample) -> dict[str, float | None]:
    """What happened between two looks: rates a second, times in seconds."""
    one, two = before.snapshot, after.snapshot
    took = together(families.REQUEST_SECONDS, _times(one, two, len, WATCHING).values())
    batches = two.histogram(families.BATCH_EXAMPLES).since(one.histogram(families.BATCH_EXAMPLES))
    queue = two.histogram(families.QUEUE_SECONDS).since(one.histogram(families.QUEUE_SECONDS))
    model = two.histogram(families.MODEL_SECONDS).since(one.histogram(families.MODEL_SECONDS))
    errors = sum(more for labels, more in _errors(one, two) if labels[0] not in WATCHING)
    seconds = after.at - before.at
    p50, p95, p99 = (quantile(SECONDS, took.counts, share) for share in SHARES)
    return {
        "time": after.time,
        "rate": took.size / seconds if seconds > 0 else 0.0,
        "errors": errors / seconds if seconds > 0 else 0.0,
        "share_failed": errors / took.size if took.size else None,
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "batch": batches.total / batches.size if batches.size else None,
        "queue": quantile(SECONDS, queue.counts, 0.5),
        "model": quantile(SECONDS, model.counts, 0.5),
        "in_flight": two.number(families.IN_FLIGHT),
        "queued": two.number(families.QUEUED),
        "connections": two.number(families.CONNECTIONS),
        "cpu": _busy(before.machine, after.machine),
    }


def _busy(before: Machine | None, after: Machine | None) -> float | None:
    """Share of the machine's processor time that was spent."""
    if before is None or after is None or after.all_s <= before.all_s:
        return None
    return max(0.0, min(1.0, (after.busy_s - before.busy_s) / (after.all_s - before.all_s)))


def tables(before: Snapshot, last: Sample) -> dict[str, Any]:
    """Batch sizes, versions, routes and errors since `before`."""
    after = last.snapshot
    batches = after.histogram(families.BATCH_EXAMPLES).since(before.histogram(families.BATCH_EXAMPLES))
    codes: dict[str, float] = {}
    for labels, more in _errors(before, after):
        codes[labels[-1]] = codes.get(labels[-1], 0.0) + more
    last_size = max((at for at, count in enumerate(batches.counts) if count), default=0)
    names = [*(str(int(bound)) for bound in EXAMPLES), f"{int(EXAMPLES[-1])}+"]
    return {
        "batches": list(zip(names, batches.counts, strict=True))[: last_size + 1],
        "codes": sorted(codes.items(), key=lambda item: -item[1]),
        "versions": versions(before, after),
        "routes": routes(before, after),
    }


def _errors(before: Snapshot, after: Snapshot) -> list[tuple[tuple[str, ...], float]]:
    """Labels (route, model, version, code) and number of the errors since `before`."""
    known = before.of(families.ERRORS)
    changes = ((labels, now - known.get(labels, 0.0)) for labels, now in after.of(families.ERRORS).items())
    return [(labels, more) for labels, more in changes if more > 0]


def _times(
    before: Snapshot,
    after: Snapshot,
    key: Callable[[tuple[str, ...]], Any],
    without: frozenset[str] = frozenset(),
) -> dict[Any, Counted]:
    """The times since `before` added up by `key` of their labels (route, model, version)."""
    groups: dict[Any, list[Counted]] = {}
    name = families.REQUEST_SECONDS.name
    for labels, counted in after.histograms.get(name, {}).items():
        if labels[0] in without:
            continue
        changed = counted.since(before.histograms.get(name, {}).get(labels))
        groups.setdefault(key(labels), []).append(changed)
    return {key: together(families.REQUEST_SECONDS, several) for key, several in groups.items()}


def versions(before: Snapshot, after: Snapshot) -> list[dict[str, Any]]:
    """Every version that is loaded or was asked: its requests, share of its model's, times and errors."""
    times = _times(before, after, lambda labels: labels[1:])
    loaded = {labels for labels, value in after.of(families.LOADED).items() if value}
    failed: dict[tuple[str, ...], float] = {}
    for labels, more in _errors(before, after):
        failed[labels[1:3]] = failed.get(labels[1:3], 0.0) + more
    asked = {names for names, counted in times.items() if counted.size and names[0]}
    whole: dict[str, float] = {}
    for model, version in asked:
        whole[model] = whole.get(model, 0.0) + times[model, version].size
    found = []
    for names in sorted(loaded | asked, key=lambda pair: (pair[0], _as_number(pair[1]))):
        model, version = names
        counted = times.get(names)
        size = counted.size if counted is not None else 0.0
        p50, _, p99 = _quantiles(counted)
        found.append(
            {
                "model": model,
                "version": version,
                "requests": size,
                "p50": p50,
                "p99": p99,
                "share": size / whole[model] if whole.get(model) else None,
                "wished": after.of(families.WEIGHT).get(names),
                "errors": failed.get(names, 0.0),
                "loaded": after.of(families.LOADED).get(names, 0.0),
                "load_s": after.of(families.LOAD_SECONDS).get(names) or None,
            }
        )
    return found


def routes(before: Snapshot, after: Snapshot) -> list[dict[str, Any]]:
    """The routes that were asked, the busiest first."""
    times = _times(before, after, lambda labels: labels[0], DASHBOARD)
    found = []
    for route, counted in sorted(times.items(), key=lambda item: -item[1].size):
        if counted.size:
            p50, _, p99 = _quantiles(counted)
            found.append({"route": route, "requests": counted.size, "p50": p50, "p99": p99})
    return found[:20]


def _quantiles(counted: Counted | None) -> list[float | None]:
    return [quantile(SECONDS, counted.counts, share) if counted is not None else None for share in SHARES]


def _as_number(version: str) -> tuple[float, str]:
    return (float(version), "") if version.isdecimal() else (float("inf"), version)


def machines(before: Sample, after: Sample) -> dict[str, Any]:
    """The machine, the workers on it and its GPUs."""
    one, two, seconds = before.snapshot, after.snapshot, after.at - before.at
    workers = []
    for worker in two.workers:
        label = (str(worker.number),)
        used = two.of(families.CPU).get(label), one.of(families.CPU).get(label)
        spent = used[0] - used[1] if used[0] is not None and used[1] is not None else None
        workers.append(
            {
                "number": worker.number,
                "process": worker.process,
                "started": worker.started,
                "cpu": spent / seconds if spent is not None and spent >= 0 and seconds > 0 else None,
                "memory": two.of(families.RSS).get(label),
                "files": two.of(families.FILES).get(label),
            }
        )
    gpus = [
        {
            "number": labels[0],
            "name": labels[1],
            "busy": two.of(families.GPU_USED).get(labels),
            "memory": two.of(families.GPU_MEMORY).get(labels),
            "memory_all": total,
        }
        for labels, total in sorted(two.of(families.GPU_MEMORY_ALL).items())
    ]
    has = after.machine
    return {
        "cores": has.cores if has is not None else None,
        "busy": _busy(before.machine, has),
        "memory": has.memory_bytes - has.free_bytes if has is not None else None,
        "memory_all": has.memory_bytes if has is not None else None,
        "workers": workers,
        "gpus": gpus,
    }
