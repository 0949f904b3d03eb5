"""Processes that are found again: never by a number alone, which another may have by now."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SERVICE, COPY = "CLOUDDEPLOY_LOCAL_SERVICE", "CLOUDDEPLOY_LOCAL_COPY"
"""Environment variables that the processes of one service and of one copy inherit, children of the model's
own code included; their values are random."""
PROC = Path("/proc")
TURN_S = 0.02


def identity(pid: int) -> dict[str, Any]:
    """What tells the process `pid` from another that gets its number later."""
    return {"pid": pid, "started": _started(pid), "boot": _boot()}


def is_same(found: Mapping[str, Any]) -> bool:
    """Whether the process of that identity lives."""
    pid = int(found.get("pid", 0))
    return pid > 0 and found.get("boot") == _boot() and _started(pid) == found.get("started") != ""


def send(found: Mapping[str, Any], number: signal.Signals) -> bool:
    """Send a signal to the process of that identity, and to no other; whether it was there."""
    pid = int(found.get("pid", 0))
    try:
        handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
    except OSError:
        return False
    try:
        # With a handle open the number can't pass to another process between the look and the signal.
        if not is_same(found):
            return False
        if handle >= 0 and hasattr(signal, "pidfd_send_signal"):
            signal.pidfd_send_signal(handle, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    finally:
        if handle >= 0:
            os.close(handle)
    return True


def marked(variable: str, token: str) -> list[int]:
    """Processes of this user that have the token in their environment; empty where /proc isn't there."""
    wanted = f"{variable}={token}".encode()
    found = []
    for entry in PROC.iterdir() if PROC.is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            content = (entry / "environ").read_bytes()
        except OSError:  # somebody else's, or ended meanwhile
            continue
        if wanted in content.split(b"\0"):
            found.append(int(entry.name))
    return found


def kill_marked(variable: str, token: str, patience_s: float = 5.0) -> int:
    """Kill what has the token in its environment until nothing does; how many there were."""
    count, deadline = 0, time.monotonic() + patience_s
    while token and time.monotonic() < deadline:
        found = [one for one in map(identity, marked(variable, token)) if one["started"]]
        living = [one for one in found if send(one, signal.SIGKILL)]
        if not living:
            break
        count += len(living)
        time.sleep(TURN_S)
    return count


def cpu_seconds(copy: str) -> float:
    """Processor time that the processes of one copy have had so far; 0 where it isn't known."""
    ticks = 0
    for pid in marked(COPY, copy):
        fields = _stat(pid)
        ticks += sum(int(one) for one in fields[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the command's name (proc(5)); empty where there is none."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _started(pid: int) -> str:
    """When `pid` started; empty when it doesn't live (a zombie doesn't)."""
    if not (PROC / "self" / "stat").exists():
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    found = _stat(pid)
    return found[19] if len(found) > 19 and found[0] not in ("Z", "X") else ""


def _boot() -> str:
    path = PROC / "sys" / "kernel" / "random" / "boot_id"
    return path.read_text().strip() if path.exists() else ""
