"""The process that the user starts: it holds the sockets, starts the workers and replaces those that die.

Each worker has a listening socket of its own on the shared port (``SO_REUSEPORT``), which stays open here:
what waits in its queue when a worker dies is served by the one that takes its place.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from clouddeploy.errors import CloudDeployError, SpecError
from clouddeploy.server.settings import ServerSettings

FIRST_PAUSE_S, MOST_PAUSE_S = 0.5, 30.0
STEADY_S = 60.0
"""A worker that lived so long starts anew without a longer pause."""
ENDING_S = 5.0
log = logging.getLogger(__name__)


@dataclass
class Seat:
    """A worker's place: its socket, and who sits there."""

    number: int
    sock: socket.socket
    process: subprocess.Popen[bytes] | None = None
    status: int = -1
    lines: bytes = b""
    born: float = 0.0
    ready: bool = False
    pause_s: float = FIRST_PAUSE_S
    again_at: float = 0.0
    leaving: list[subprocess.Popen[bytes]] = field(default_factory=list)


class Supervisor:
    """Runs the server until it is told to stop.

    Args:
        settings: how to behave.
        on_ready: called with the server's URL when every worker is ready for the first time.
    """

    def __init__(self, settings: ServerSettings, on_ready: Callable[[str], None] | None = None) -> None:
        self.settings = settings
        self._on_ready = on_ready
        self._seats: list[Seat] = []
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._reloading: list[int] = []
        self._was_ready = False

    @property
    def url(self) -> str:
        """Where the server answers."""
        host = self.settings.host
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        return f"http://{shown}:{self.settings.port}"

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; SIGHUP replaces the workers one by one. The exit code.

        Raises:
            SpecError: the address can't be listened on.
            CloudDeployError: no worker could start.
        """
        with tempfile.TemporaryDirectory(prefix="clouddeploy-serve-") as folder, self._signals() as wake:
            if not self.settings.run_folder.name:
                self.settings = replace(self.settings, run_folder=Path(folder))
            self._listen()
            self._selector.register(wake, selectors.EVENT_READ)
            try:
                for seat in self._seats:
                    self._start(seat)
                self._loop(wake)
            finally:
                self._end()
        return 0

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """A pipe that becomes readable when a signal arrives."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        os.set_blocking(reading, False)
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        waking = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        try:
            yield reading
        finally:
            signal.set_wakeup_fd(waking)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reading)
            os.close(writing)

    def _listen(self) -> None:
        family = socket.AF_INET6 if ":" in self.settings.host else socket.AF_INET
        for number in range(self.settings.workers):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                if number == 0:
                    self._bind_alone(family)
                if self.settings.workers > 1:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                sock.bind((self.settings.host, self.settings.port))
                sock.listen(2048)
            except OSError as error:
                sock.close()
                self._close_sockets()
                raise SpecError(
                    f"the server can't listen on {self.settings.host}:{self.settings.port}",
                    why=str(error.strerror or error),
                    fix="stop what listens there, or choose another port (--port 0 takes a free one)",
                ) from error
            self.settings = replace(self.settings, port=sock.getsockname()[1])
            self._seats.append(Seat(number, sock))

    def _bind_alone(self, family: socket.AddressFamily) -> None:
        """Fail when another server is on the port already, also one that would share it."""
        if self.settings.port:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((self.settings.host, self.settings.port))

    def _close_sockets(self) -> None:
        for seat in self._seats:
            seat.sock.close()

    def _start(self, seat: Seat) -> None:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self.settings).items()}
        command = [sys.executable, "-m", "clouddeploy.server.worker"]
        command += ["--socket", str(seat.sock.fileno()), "--status", str(writing)]
        command += ["--settings", json.dumps(plain)]
        threads = self.settings.threads or max(1, (os.cpu_count() or 1) // self.settings.workers)
        environment = {"CLOUDDEPLOY_THREADS": str(threads), "OMP_NUM_THREADS": str(threads), **os.environ}
        environment["CLOUDDEPLOY_WORKER"] = str(seat.number)
        seat.process = subprocess.Popen(
            command,
            pass_fds=(seat.sock.fileno(), writing),
            stdin=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        os.close(writing)
        seat.status, seat.lines, seat.ready, seat.born = reading, b"", False, time.monotonic()
        self._selector.register(reading, selectors.EVENT_READ, seat)

    def _loop(self, wake: int) -> None:
        while not (self._stopping and not self._living()):
            for key, _ in self._selector.select(self._patience()):
                if key.fd == wake:
                    self._on_signals(os.read(wake, 4096))
                else:
                    self._read(key.data)
            self._look()

    def _patience(self) -> float | None:
        waits = [seat.again_at - time.monotonic() for seat in self._seats if seat.process is None]
        return max(0.0, min(waits)) if waits and not self._stopping else None

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            if self._stopping:
                for process in self._living():
                    process.kill()
            self._stopping = True
            for process in self._living():
                process.terminate()
        elif signal.SIGHUP in numbers and not self._reloading:
            self._reloading = [seat.number for seat in self._seats]
            self._replace_next()

    def _replace_next(self) -> None:
        """Start a second worker in the next seat; the first goes when the second is ready."""
        if self._reloading and not self._stopping:
            seat = self._seats[self._reloading[0]]
            if seat.process is not None:
                self._forget(seat)
                seat.leaving.append(seat.process)
            self._start(seat)

    def _read(self, seat: Seat) -> None:
        data = os.read(seat.status, 65_536)
        seat.lines += data
        *complete, seat.lines = seat.lines.split(b"\n")
        for line in complete:
            told: dict[str, Any] = json.loads(line)
            if "ready" in told:
                self._became_ready(seat)
        if not data:
            self._forget(seat)

    def _became_ready(self, seat: Seat) -> None:
        seat.ready = True
        for process in seat.leaving:
            if process.poll() is None:
                process.terminate()
        if self._reloading and self._reloading[0] == seat.number:
            self._reloading.pop(0)
            self._replace_next()
        if not self._was_ready and all(one.ready for one in self._seats):
            self._was_ready = True
            if self._on_ready:
                self._on_ready(self.url)

    def _forget(self, seat: Seat) -> None:
        if seat.status >= 0:
            with contextlib.suppress(KeyError):  # closed by the worker's end already
                self._selector.unregister(seat.status)
            os.close(seat.status)
            seat.status = -1

    def _look(self) -> None:
        """Bury the dead, and start those whose pause is over."""
        now = time.monotonic()
        for seat in self._seats:
            seat.leaving = [process for process in seat.leaving if process.poll() is None]
            process = seat.process
            if process is not None and process.poll() is not None:
                self._died(seat, process.returncode, now)
            elif process is None and not self._stopping and seat.again_at <= now:
                self._start(seat)

    def _died(self, seat: Seat, code: int, now: float) -> None:
        self._forget(seat)
        if seat.process is not None and seat.process.stdin is not None:
            seat.process.stdin.close()
        seat.process = None
        if self._stopping:
            return
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        if not self._was_ready and not any(one.ready for one in self._seats) and code != 0:
            raise CloudDeployError(
                f"a worker ended {how} before it was ready",
                why="its last lines stand above",
                fix="mend what they name, then start the server again",
            )
        seat.pause_s = FIRST_PAUSE_S if now - seat.born > STEADY_S else min(seat.pause_s * 2, MOST_PAUSE_S)
        pause_s = 0.0 if seat.ready and now - seat.born > STEADY_S else seat.pause_s
        seat.ready, seat.again_at = False, now + pause_s
        log.error("worker %d ended %s; another starts in %.1f s", seat.number, how, pause_s)

    def _living(self) -> list[subprocess.Popen[bytes]]:
        found = [seat.process for seat in self._seats if seat.process is not None]
        found += [process for seat in self._seats for process in seat.leaving]
        return [process for process in found if process.poll() is None]

    def _end(self) -> None:
        for process in self._living():
            process.terminate()
        for process in self._living():
            try:
                process.wait(self.settings.drain_s + ENDING_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for seat in self._seats:
            self._forget(seat)
        self._close_sockets()
        self._selector.close()
