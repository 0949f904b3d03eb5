"""A worker's place, and the processes that sit in it: one that serves, and those that leave."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clouddeploy.server import cores
from clouddeploy.server.settings import ServerSettings

FIRST_PAUSE_S, MOST_PAUSE_S = 0.5, 30.0
STEADY_S = 60.0
"""A worker that lived so long is replaced without a pause."""
FOR_OTHERS_S, ALONE_S, FOR_EVER_S = 600.0, 1.0, 1e9
"""How long a worker that takes a dead one's place leaves connections waiting while it isn't ready: when
others serve, and when nobody does, so that a client must not be refused for a moment's sake."""
ENDING_S = 1.5
"""Seconds that a worker has to end after its requests had theirs; then it is killed. Short, as platforms kill
the server as a whole soon (see `clouddeploy.server.container.DRAIN_S`), which could tell nothing then."""


@dataclass(eq=False)
class Sitter:
    """One worker process.

    Args:
        process: the process itself.
        control: where it is told what to do; that it closes tells it that the supervisor is gone.
        status: file descriptor on which it tells what becomes of it; -1 when that is closed.
        born: when it was started.
    """

    process: subprocess.Popen[bytes]
    control: socket.socket
    status: int
    born: float
    lines: bytes = b""
    ready: bool = False
    heard: float = 0.0
    kill_at: float | None = None
    failure: dict[str, Any] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def tell(self, command: dict[str, Any], descriptors: Sequence[int] = ()) -> bool:
        """Give it a command; whether it was taken."""
        try:
            socket.send_fds(self.control, [json.dumps(command).encode()], descriptors)
        except OSError:
            return False
        return True

    def hear(self) -> list[dict[str, Any]] | None:
        """What it has told since; None when it tells nothing any more."""
        try:
            data = os.read(self.status, 65_536)
        except BlockingIOError:
            return []  # it is dead, but a process that its model started lives on
        self.heard = time.monotonic()
        *complete, self.lines = (self.lines + data).split(b"\n")
        return [json.loads(line) for line in complete] if data else None

    def leave(self, drain_s: float) -> None:
        """Let it answer what it has accepted, and end."""
        if self.kill_at is None:
            self.kill_at = time.monotonic() + drain_s + ENDING_S
            if self.alive:
                self.process.terminate()

    def told_to_leave(self, drain_s: float) -> None:
        """It ends of its own accord: it has that long."""
        self.kill_at = self.kill_at or time.monotonic() + drain_s + ENDING_S

    def close(self) -> None:
        """Give back what belonged to it."""
        self.control.close()
        if self.status >= 0:
            os.close(self.status)
            self.status = -1


@dataclass(eq=False)
class Seat:
    """A worker's place.

    Args:
        number: of the place, from 0.
        sock: what listens there; it outlives the workers.
    """

    number: int
    sock: socket.socket
    sitter: Sitter | None = None
    leaving: list[Sitter] = field(default_factory=list)
    pause_s: float = 0.0
    again_at: float = 0.0
    adopter: Sitter | None = None

    @property
    def served(self) -> bool:
        """Whether a process takes connections from its socket."""
        ready = self.sitter is not None and self.sitter.ready
        return ready or any(one.ready and one.alive and one.kill_at is None for one in self.leaving)

    def died(self, born: float, now: float) -> float:
        """Decide when another one starts; the seconds until then. The first time it is at once."""
        if now - born > STEADY_S:
            self.pause_s = 0.0
        pause_s = self.pause_s
        self.again_at = now + pause_s
        self.pause_s = min(max(FIRST_PAUSE_S, pause_s * 2), MOST_PAUSE_S)
        return pause_s


def start(seat: Seat, settings: ServerSettings, *, waits_s: float) -> Sitter:
    """Start a worker in `seat`.

    Args:
        seat: its place.
        settings: how to behave.
        waits_s: seconds for which it takes no connections unless it is ready before.
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    passed = (seat.sock.fileno(), writing, theirs.fileno())
    command = [sys.executable, "-m", "clouddeploy.server.worker"]
    for flag, number in zip(("--socket", "--status", "--control"), passed, strict=True):
        command += [flag, str(number)]
    plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(settings).items()}
    command += ["--settings", json.dumps(plain), "--waits", str(waits_s)]
    try:
        process = subprocess.Popen(
            command,
            pass_fds=passed,
            stdin=subprocess.DEVNULL,
            env=_environment(seat.number, settings),
            start_new_session=True,
        )
    finally:
        os.close(writing)
        theirs.close()
    return Sitter(process, ours, reading, time.monotonic(), heard=time.monotonic())


def _environment(number: int, settings: ServerSettings) -> dict[str, str]:
    threads = str(settings.threads or cores.whole(cores.usable() / settings.workers))
    # Threads of a prediction that wait for one another must not spin where others want the core.
    given = {"CLOUDDEPLOY_THREADS": threads, "OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
    return {**given, **os.environ, "CLOUDDEPLOY_WORKER": str(number)}


def how(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"with code {code}"
    with contextlib.suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"
