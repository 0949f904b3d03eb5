"""How many cores this process may use, which in a container isn't what the machine has."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable(cgroup: Path = CGROUP) -> float:
    """The cores that this process may use: of those it may run on, what its control group grants.

    Args:
        cgroup: where the control group's files are (Linux documentation, "Control Group v2", cpu.max, and
            for version 1 "CFS Bandwidth Control").
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return min(float(there), quota) if quota else float(there)


def whole(cores: float) -> int:
    """At least one."""
    return max(1, int(cores))


def _quota(cgroup: Path) -> float:
    """The share of a core's time that is granted; 0 where nothing is said."""
    try:
        two = cgroup / "cpu.max"
        if two.is_file():
            quota, period = two.read_text().split()
        else:
            quota, period = (
                (cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
        return max(0.0, float(quota) / float(period)) if quota.strip() not in ("max", "-1") else 0.0
    except (OSError, ValueError):  # no control groups here, or none that we can read
        return 0.0
