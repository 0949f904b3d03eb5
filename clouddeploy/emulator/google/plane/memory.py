"""How much memory an instance has: its processes, and its temporary files, which Cloud Run keeps in memory.

"Memory limits for services" and "Container file system" (Cloud Run). Pages that several of its processes
share are counted once, where the system tells; that costs more to find out, so it is asked only when
the resident pages alone are over a limit.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 2**20
ASK_S = 1.0


def family(pid: int) -> list[int]:
    """A process and its descendants; only itself where the system doesn't tell."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        with contextlib.suppress(OSError):  # ended in between, or a system without this file
            for task in os.listdir(f"/proc/{one}/task"):
                waiting += map(int, Path(f"/proc/{one}/task/{task}/children").read_text().split())
    return found


class Gauge:
    """Measures one instance's memory.

    Args:
        pid: its process.
        scratch: where its temporary files are.
    """

    def __init__(self, pid: int, scratch: Path) -> None:
        self._pid, self._scratch = pid, scratch
        self._resident_mb = self._exact_mb = 0.0
        self._asked = -ASK_S

    def over(self, limit_mb: float) -> float:
        """MiB in use when that is more than `limit_mb`, else 0."""
        pids = family(self._pid)
        files = _files(self._scratch)
        resident = (sum(map(_resident, pids)) + files) / MIB
        if resident <= limit_mb:
            return 0
        grown = self._exact_mb + resident - self._resident_mb
        now = time.monotonic()
        if self._exact_mb and grown <= limit_mb and now - self._asked < ASK_S:
            return 0
        exact = (sum(map(_proportional, pids)) + files) / MIB
        self._resident_mb, self._exact_mb, self._asked = resident, exact, now
        return exact if exact > limit_mb else 0


def _resident(pid: int) -> int:
    return _number(lambda: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE)


def _proportional(pid: int) -> int:
    def read() -> int:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        return 0

    return _number(read) or _resident(pid)


def _number(read: Callable[[], int]) -> int:
    try:
        return read()
    except (OSError, IndexError, ValueError):
        return 0


def _files(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # removed in between
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
