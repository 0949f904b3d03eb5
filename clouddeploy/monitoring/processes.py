"""What processes and the machine use, as proc(5) tells it; nothing where there is none."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.monitoring.families import CPU, FILES, MOST_FILES, RSS, STARTED
from clouddeploy.monitoring.gathering import Snapshot

PROC = Path("/proc")
_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Use:
    """What a process uses.

    Args:
        cpu_s: processor seconds so far.
        memory_bytes: in RAM.
        files: descriptors that are open.
        most_files: that may be open.
    """

    cpu_s: float
    memory_bytes: float
    files: int
    most_files: float


def use_of(process: int, proc: Path = PROC) -> Use | None:
    """What process `process` uses; None when it ended or can't be looked at."""
    folder = proc / str(process)
    try:
        # The second field is the program's name in parentheses, which may hold blanks.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        limits = (folder / "limits").read_text().splitlines()
        files = len(os.listdir(folder / "fd"))
    except OSError:
        return None
    most = next((line.split()[3] for line in limits if line.startswith("Max open files")), "0")
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS
    return Use(cpu, int(fields[21]) * _PAGE, files, float("inf") if most == "unlimited" else float(most))


def add(snapshot: Snapshot, proc: Path = PROC) -> None:
    """Add to `snapshot` what each of its workers uses."""
    for worker in snapshot.workers:
        label = (str(worker.number),)
        snapshot.set(STARTED, label, worker.started)
        use = use_of(worker.process, proc)
        if use is not None:
            snapshot.set(CPU, label, use.cpu_s)
            snapshot.set(RSS, label, use.memory_bytes)
            snapshot.set(FILES, label, float(use.files))
            snapshot.set(MOST_FILES, label, use.most_files)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine has and uses.

    Args:
        cores: that this process may use.
        busy_s: processor seconds of all cores that were spent on something, since it started.
        all_s: those of all cores, spent or not.
        memory_bytes: RAM.
        free_bytes: of it, what could be given to programs.
    """

    cores: int
    busy_s: float
    all_s: float
    memory_bytes: float
    free_bytes: float


def machine(proc: Path = PROC) -> Machine | None:
    """What the machine uses now; None where ``/proc`` doesn't tell."""
    try:
        first = (proc / "stat").read_text().split("\n", 1)[0].split()
        memory = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return None
    ticks = [int(value) for value in first[1:9]]
    idle = ticks[3] + ticks[4]
    sizes = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in memory if ":" in line}
    return Machine(
        len(os.sched_getaffinity(0)),
        (sum(ticks) - idle) / _TICKS,
        sum(ticks) / _TICKS,
        sizes.get("MemTotal", 0),
        sizes.get("MemAvailable", 0),
    )
