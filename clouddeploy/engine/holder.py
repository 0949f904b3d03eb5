"""Who holds a lock: this process, another one on this machine, or somebody elsewhere."""

from __future__ import annotations

import getpass
import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

HELD, RELEASED = "held", "released"
_mine: set[str] = set()
"""Nonces of the locks that this very process holds."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What the lock's object says.

    Args:
        state: ``held`` or ``released``.
        owner: user and host, for people.
        host: identity of the machine and, in containers, of the process space.
        pid: process id there.
        started: when that process started, in the system's own ticks; empty when unknown.
        since: when it was taken (UTC, ISO 8601).
        expires: when it ends unless it is renewed.
        nonce: tells this taking from every other.
    """

    state: str
    owner: str
    host: str
    pid: int
    started: str
    since: str
    expires: str
    nonce: str

    @classmethod
    def here(cls, *, since: datetime, expires: datetime, nonce: str) -> Self:
        """This process as the holder."""
        pid = os.getpid()
        owner = f"{_user()}@{socket.gethostname()}"
        return cls(HELD, owner, _host(), pid, _started(pid), _text(since), _text(expires), nonce)

    @classmethod
    def parse(cls, body: bytes) -> Self | None:
        """From the object's bytes; None when they aren't such a text."""
        try:
            found = json.loads(body)
            return cls(**{f.name: found[f.name] for f in fields(cls)})
        except (ValueError, KeyError, TypeError):
            return None

    def body(self, state: str = HELD) -> bytes:
        """The object's bytes."""
        return json.dumps({**asdict(self), "state": state}, indent=1).encode()

    @property
    def is_me(self) -> bool:
        """Whether this process took it, and holds it still."""
        return self.nonce in _mine

    def holds(self, now: datetime) -> bool:
        """Whether the lock is held still: not given back, not expired, its process not known to be dead."""
        if self.state != HELD or now >= datetime.fromisoformat(self.expires):
            return False
        return self.is_me or self.host != _host() or self._lives()

    def _lives(self) -> bool:
        if self.pid == os.getpid():
            return False  # this process says that it doesn't hold it
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # somebody else's process: it is there
            return self._is_the_same()
        return self._is_the_same() and not _is_zombie(self.pid)

    def _is_the_same(self) -> bool:
        """Whether the process of that number now is the one that took the lock, as far as is known."""
        now = _started(self.pid)
        return not now or not self.started or now == self.started


def remember(nonce: str) -> None:
    """This process now holds the lock with `nonce`."""
    _mine.add(nonce)


def forget(nonce: str) -> None:
    """This process no longer holds it."""
    _mine.discard(nonce)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user needs no entry in the password file
        return "unknown"


def _host() -> str:
    parts = [socket.gethostname()]
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    if boot.exists() and space.exists():
        # Containers may share a host name, and number their processes each for itself.
        parts += [boot.read_text().strip(), os.readlink(space)]
    else:
        parts.append(f"{uuid.getnode():012x}")
    return " ".join(parts)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the command's name (proc(5)); empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _started(pid: int) -> str:
    found = _stat(pid)
    return found[19] if len(found) > 19 else ""


def _is_zombie(pid: int) -> bool:
    return _stat(pid)[:1] == ["Z"]
