"""One copy of a release: a server process of its own, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clouddeploy.providers.local.backends import Backend, Lane
from clouddeploy.providers.local.processes import COPY, kill_marked

TAIL = 40
TURN_S = 0.01
GRACE_S = 10.0
LINE_LIMIT = 1 << 20
Log = Callable[[str, str], None]


class StartFailed(Exception):
    """A copy did not become ready.

    Args:
        reason: in a few words.
        tail: the last lines that it logged.
    """

    def __init__(self, reason: str, tail: list[str]) -> None:
        super().__init__(reason)
        self.reason, self.tail = reason, tail


@dataclass(eq=False)
class Copy:
    """A server that runs one release.

    Args:
        release: the release's name.
        settings: of the server, as JSON-able values.
        env: of its process.
        log: takes its lines.
    """

    release: str
    settings: Mapping[str, Any]
    env: Mapping[str, str]
    log: Log
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    backend: Backend | None = None
    born: float = 0.0
    _process: asyncio.subprocess.Process | None = None
    _reading: asyncio.Task[None] | None = None
    _printing: asyncio.Task[None] | None = None
    _tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Of its process; 0 before it started."""
        return self._process.pid if self._process else 0

    async def start(self, lane: Lane, timeout_s: float) -> None:
        """Start it, and return when it answers.

        Raises:
            StartFailed: it ended, or wasn't ready in time. Nothing of it is left.
        """
        command = [sys.executable, "-P", "-m", "clouddeploy.server.attached"]
        self.born = time.monotonic()
        self._process = await asyncio.create_subprocess_exec(
            *command,
            "--settings",
            json.dumps(dict(self.settings)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self.env, COPY: self.token},
            start_new_session=True,
            limit=LINE_LIMIT,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._reading = asyncio.ensure_future(self._read(self._process.stderr))
        try:
            async with asyncio.timeout(timeout_s):
                port = await self._ready(self._process.stdout)
        except TimeoutError:
            await self.kill()
            raise StartFailed(f"it wasn't ready after {timeout_s:g} s", list(self._tail)) from None
        except BaseException:
            await self.kill()
            raise
        self._printing = asyncio.ensure_future(self._read(self._process.stdout))
        self.backend = Backend(port, lane.level)

    async def _ready(self, stdout: asyncio.StreamReader) -> int:
        assert self._process is not None
        while line := await stdout.readline():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # the model's code prints, too
                return int(str(json.loads(line)["url"]).rpartition(":")[2])
            self._take(line)
        while (code := self._process.returncode) is None:
            await asyncio.sleep(TURN_S)
        if self._reading is not None:
            # Its last lines; a process that it started may hold the other end for long.
            await asyncio.wait([self._reading], timeout=1)
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        why = next((line for line in reversed(self._tail) if "Error" in line), "")
        raise StartFailed(f"it ended {how}" + (f": {why}" if why else ""), list(self._tail))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        """Take what the process says, until it ends: left alone, a full pipe would stop it."""
        try:
            while line := await stream.readline():
                self._take(line)
        except ValueError:  # a line without end: what follows isn't taken apart
            while line := await stream.read(1 << 16):
                self._take(line)

    def _take(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        self._tail.append(text)
        self.log(self.release, text)

    async def stop(self) -> None:
        """Let it finish what was given to it, and end it."""
        if self.backend is not None:
            await self.backend.drained()
        for _ in range(2 if self.alive else 0):  # the second makes the server kill a worker that hangs
            self._signal(signal.SIGTERM)
            if await self._ended(GRACE_S):
                break
        await self.kill()

    async def kill(self) -> None:
        """End it at once, with all that it started."""
        self._signal(signal.SIGKILL)
        kill_marked(COPY, self.token)
        await self._ended(GRACE_S)

    async def _ended(self, patience_s: float) -> bool:
        """Whether it ends in time. Its pipes don't count: processes that it started may hold them."""
        deadline = time.monotonic() + patience_s
        while self.alive and time.monotonic() < deadline:
            await asyncio.sleep(TURN_S)
        return not self.alive

    def _signal(self, number: signal.Signals) -> None:
        if self.alive and self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
                self._process.send_signal(number)


def environment(base: Mapping[str, str], wish: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment of a copy: the keeper's, threads that fit, and what the release asks for."""
    return {**base, "CLOUDDEPLOY_THREADS": str(threads), "PYTHONUNBUFFERED": "1", **wish}


def server_settings(model: Path, name: str, service: Mapping[str, Any]) -> dict[str, Any]:
    """What a server is told."""
    return {
        "host": "127.0.0.1",
        "port": 0,
        "workers": 1,
        "models": str(model),
        "name": name,
        "drain_s": GRACE_S / 2,
        **service.get("server", {}),
    }


def threads_of(copies: int) -> int:
    """Threads of one prediction, when so many copies share the machine."""
    return max(1, (os.cpu_count() or 1) // max(1, copies))
