"""One instance: a process group that listens on a port of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO

from clouddeploy.emulator.functions.guardian import Guardian
from clouddeploy.emulator.google.plane.commands import start_of
from clouddeploy.emulator.google.plane.memory import Gauge
from clouddeploy.emulator.google.plane.spec import Log, RevisionSpec
from clouddeploy.emulator.http.listener import LOOPBACK
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.http.upstream import Upstream
from clouddeploy.emulator.plane.artifact import remove

GRACE_S = 10.0
"""Seconds between SIGTERM and SIGKILL ("Container runtime contract", Cloud Run)."""
LOOK_S = 0.01
TAIL = 40
LINE_LIMIT = 256 * 1024
DYING_S = 0.5
HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "host", "content-length", "expect",
    }
)  # fmt: skip

DROPPED = HOP_BY_HOP | {"server"}


class NotReady(Exception):
    """A revision's first instance doesn't listen.

    Args:
        message: why, in Cloud Run's words.
        tail: the end of its log.
    """

    def __init__(self, message: str, tail: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message, self.tail = message, tail


class Instance:
    """A process of a revision; `start` must be called.

    Args:
        spec: the revision.
        folder: its own folder, removed in the end.
        url: where the embedded Google Cloud answers.
        guardian: what ends it when the embedded cloud is killed.
    """

    def __init__(self, spec: RevisionSpec, folder: Path, url: str, guardian: Guardian) -> None:
        self.spec = spec
        self.busy = 0
        self.last_used = time.monotonic()
        self.cold_start_s = 0.0
        self.log: Log = spec.log
        self._folder, self._url, self._guardian = folder, url, guardian
        self._process: subprocess.Popen[bytes] | None = None
        self._dying: subprocess.Popen[bytes] | None = None
        self._upstream = Upstream(0)
        self._gauge: Gauge | None = None
        self._readers: list[threading.Thread] = []
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._lock = threading.Lock()
        self._ending = False
        self.starting = False
        self.killed_for = ""

    @property
    def pid(self) -> int:
        """Its process, or 0."""
        process = self._process
        return process.pid if process is not None else 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._upstream.port

    @property
    def alive(self) -> bool:
        """Whether its process runs and isn't being ended."""
        process = self._process
        return not self._ending and process is not None and process.poll() is None

    def start(self) -> None:
        """Start its process and wait until it listens.

        Raises:
            NotReady: it ended, or took too long.
        """
        self.starting = True
        try:
            self._start()
        finally:
            self.starting = False

    def _start(self) -> None:
        began = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as held:
            # A bound socket that doesn't listen keeps everybody else off the port; a server that sets
            # SO_REUSEADDR, as functions-framework's does, can still have it.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((LOOPBACK, 0))
            self._upstream = Upstream(held.getsockname()[1], resend=False)
            if self.spec.command:  # whose server may not set it
                held.close()
            self._spawn()
            self._await_listening(began + self.spec.startup_timeout_s)
        self.cold_start_s = time.monotonic() - began
        self.last_used = time.monotonic()
        probe = "Default STARTUP TCP probe succeeded after 1 attempt for container"
        self.log("INFO", f'{probe} "worker" on port {self.port}.')

    def _spawn(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        start = start_of(self.spec, self.port, self._folder, self._url)
        try:
            process = subprocess.Popen(
                start.command, cwd=start.folder, env=dict(start.variables), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._hear(f"terminated: Application failed to start: {start.command[0]}: {error.strerror}")
            raise self._not_ready() from error
        self._guardian.add(process.pid)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            name = f"log-{process.pid}"
            self._readers.append(threading.Thread(target=self._read, args=(stream,), name=name, daemon=True))
            self._readers[-1].start()
        self._gauge = Gauge(process.pid, self._folder)
        self._process = process
        if self._ending:
            self.end(grace_s=0)

    def _await_listening(self, deadline: float) -> None:
        while not self._listens():
            late = time.monotonic() > deadline
            if late or not self.alive:
                self.end(grace_s=0)
                raise self._not_ready()
            time.sleep(LOOK_S)

    def _read(self, stream: IO[bytes]) -> None:
        while line := stream.readline(LINE_LIMIT):
            self._hear(line.decode("utf-8", "replace").rstrip("\r\n"))

    def _hear(self, line: str) -> None:
        self._tail.append(line)
        self.log("DEFAULT", line)

    def _listens(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1):
                return True
        except OSError:
            return False

    def _not_ready(self) -> NotReady:
        if self.killed_for:
            return NotReady(self.killed_for, tuple(self._tail))
        return NotReady(
            "The user-provided container failed to start and listen on the port defined provided by the "
            f"PORT={self.port} environment variable within the allocated timeout. This can happen when the "
            "container port is misconfigured or if the timeout is too short. The health check timeout can be "
            "extended. Logs for this revision might contain more information.",
            tuple(self._tail),
        )

    def send(self, request: Request) -> Response:
        """Let it answer a request.

        Raises:
            NotReached: it doesn't listen any more.
            Unreachable: it cut the connection.
            TimeoutError: it didn't answer in time.
        """
        headers = [(k, v) for k, v in request.raw_headers if k.lower() not in HOP_BY_HOP]
        response = self._upstream.send(
            request.method, request.target, headers, request.body, timeout_s=self.spec.timeout_s
        )
        response.headers = [(k, v) for k, v in response.headers if k.lower() not in DROPPED]
        return response

    def over_memory(self) -> float:
        """MiB in use when that is more than it may have, else 0."""
        gauge = self._gauge
        return gauge.over(self.spec.memory_mb) if gauge is not None and self.alive else 0

    def ended(self) -> bool:
        """Whether it has ended; a process that is just dying closes its connections a moment before."""
        process = self._process
        if process is None:
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(DYING_S)
        return not self.alive

    def end(self, *, grace_s: float = GRACE_S) -> None:
        """SIGTERM, then after the grace SIGKILL for it and all that it started."""
        self._ending = True
        if grace_s == 0:
            self._kill()
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                self._dying = process
                if grace_s > 0 and process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(grace_s)
                _kill_group(process.pid)
                process.wait()
                self._guardian.drop(process.pid)
        self._upstream.close()
        for reader in self._readers:
            reader.join(1)
        if process is not None:
            for stream in (process.stdout, process.stderr):
                assert stream is not None
                stream.close()
        remove(self._folder)

    def _kill(self) -> None:
        process = self._process or self._dying
        if process is not None and process.poll() is None:
            _kill_group(process.pid)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # ended by itself
        os.killpg(group, signal.SIGKILL)
