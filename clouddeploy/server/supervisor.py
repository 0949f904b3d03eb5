"""The process that the user starts: it holds the sockets, starts the workers and replaces those that die.

Each worker has a listening socket of its own on the shared port (``SO_REUSEPORT``), which stays open here:
while a place is empty another worker takes the connections that wait there.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from clouddeploy.errors import CloudDeployError, ModelError
from clouddeploy.server.listening import Listening
from clouddeploy.server.seats import ALONE_S, ENDING_S, FOR_EVER_S, FOR_OTHERS_S, Seat, Sitter, how, start
from clouddeploy.server.settings import ServerSettings

CUT = 1
"""Exit code of a server of which a worker had to be killed, so that it left requests without an answer."""
SPARE_S = 5.0
"""Seconds more than a silent worker may take to end itself."""
log = logging.getLogger(__name__)


class Supervisor:
    """Runs the server until it is told to stop.

    Args:
        settings: how to behave.
        on_ready: called with the server's URL when every worker is ready for the first time.
    """

    def __init__(self, settings: ServerSettings, on_ready: Callable[[str], None] | None = None) -> None:
        self.settings = settings
        self._on_ready = on_ready
        self._listening: Listening | None = None
        self._seats: list[Seat] = []
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._reloading: list[Seat] = []
        self._was_ready = False
        self._cut = False

    @property
    def url(self) -> str:
        """Where the server answers."""
        host = self.settings.host
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        scheme = "https" if self.settings.tls_certificate.name else "http"
        return f"{scheme}://{shown}:{self.settings.port}"

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; SIGHUP replaces the workers one by one.

        The exit code: 0, or `CUT` when a worker hadn't ended in time and was killed.

        Raises:
            SpecError: the address can't be listened on, or the model can't be loaded.
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
        return CUT if self._cut else 0

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
        settings = self.settings
        self._listening = Listening(
            settings.host, settings.port, settings.workers, listen=not settings.open_when_ready
        )
        self.settings = replace(self.settings, port=self._listening.port)
        self._seats = [Seat(number, sock) for number, sock in enumerate(self._listening.sockets)]

    def _start(self, seat: Seat) -> None:
        others = any(one.served for one in self._seats)
        waits_s = FOR_OTHERS_S if others else ALONE_S if self._was_ready else 0.0
        if self.settings.open_when_ready and not self._was_ready:
            waits_s = FOR_EVER_S
        seat.sitter = start(seat, self.settings, waits_s=waits_s)
        self._selector.register(seat.sitter.status, selectors.EVENT_READ, seat.sitter)

    def _loop(self, wake: int) -> None:
        while not (self._stopping and not self._living()):
            for key, _ in self._selector.select(self._patience()):
                if key.fd == wake:
                    self._on_signals(os.read(wake, 4096))
                elif key.data.status == key.fd:
                    self._hear(key.data)
            self._look()

    def _patience(self) -> float | None:
        """Seconds until something must be done though nothing happens."""
        waits = [one.kill_at for one in self._sitters() if one.kill_at is not None]
        if not self._stopping:
            waits += [seat.again_at for seat in self._seats if seat.sitter is None]
            waits += [one.heard + self._silence_s for one in self._watched()]
        return max(0.0, min(waits) - time.monotonic()) if waits else None

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            if self._stopping:
                for one in self._living():
                    one.process.kill()
            elif signal.SIGINT in numbers:
                log.warning(
                    "what was accepted is answered before the server ends; Ctrl-C again ends it at once"
                )
            self._stop()
        elif signal.SIGHUP in numbers and not self._reloading and not self._stopping:
            self._reloading = list(self._seats)
            self._replace_next()

    def _stop(self) -> None:
        """No new connections, and an answer to every request on those that there are."""
        self._stopping = True
        if self._listening is not None:
            self._listening.close()  # or clients would wait in a queue that nobody looks at any more
        for one in self._living():
            one.leave(self.settings.drain_s)

    def _replace_next(self) -> None:
        """Start a second worker in the next seat; the first goes when the second is ready."""
        if self._reloading and not self._stopping:
            seat = self._reloading[0]
            if seat.sitter is not None:
                seat.leaving.append(seat.sitter)
            self._start(seat)

    def _hear(self, sitter: Sitter) -> None:
        told = sitter.hear()
        if told is None:
            self._forget(sitter)
            return
        for what in told:
            if "failed" in what:
                sitter.failure = what["failed"]
            seat = next((seat for seat in self._seats if seat.sitter is sitter), None)
            if "ready" in what and seat is not None:
                self._became_ready(seat, sitter)
            if "leaving" in what and seat is not None and not self._stopping:
                self._let_go(seat, sitter)

    def _became_ready(self, seat: Seat, sitter: Sitter) -> None:
        sitter.ready = True
        for one in seat.leaving:
            one.leave(self.settings.drain_s)
        if seat in self._reloading[:1]:
            self._reloading.pop(0)
            self._replace_next()
        if not self._was_ready and all(one.served for one in self._seats):
            self._was_ready = True
            if self._on_ready:
                self._on_ready(self.url)

    def _let_go(self, seat: Seat, sitter: Sitter) -> None:
        """A worker ends without having been told to: another takes its place while it drains."""
        log.error("worker %d ends of its own accord; another takes its place", seat.number)
        sitter.told_to_leave(self.settings.drain_s)
        seat.leaving.append(sitter)
        seat.sitter = None
        seat.died(sitter.born, time.monotonic())

    def _forget(self, sitter: Sitter) -> None:
        """It tells nothing any more; that it ended will be seen."""
        if sitter.status >= 0:
            self._selector.unregister(sitter.status)
            os.close(sitter.status)
            sitter.status = -1

    def _look(self) -> None:
        """Bury the dead, kill who should have ended, and start those whose pause is over."""
        now = time.monotonic()
        for one in self._sitters():
            hung = one in self._watched() and one.heard + self._silence_s <= now
            if hung:
                log.error("worker process %d shows no life and is killed", one.process.pid)
            if one.alive and hung:
                one.process.kill()
            elif one.alive and one.kill_at is not None and one.kill_at <= now:
                self._kill_late(one)
        for seat in self._seats:
            for one in [one for one in seat.leaving if not one.alive]:
                seat.leaving.remove(one)
                self._bury(one)
            if seat.sitter is not None and not seat.sitter.alive:
                self._died(seat, seat.sitter, now)
            if seat.sitter is None and not self._stopping and seat.again_at <= now:
                self._start(seat)
        self._mind_orphans()

    def _kill_late(self, sitter: Sitter) -> None:
        """It had its time to end."""
        log.error(
            "worker process %d hasn't ended %g s after it was asked to, and is killed; its requests are cut",
            *(sitter.process.pid, self.settings.drain_s + ENDING_S),
        )
        sitter.process.kill()
        self._cut = self._cut or self._stopping

    def _bury(self, sitter: Sitter) -> None:
        if sitter.status >= 0:
            self._hear(sitter)
        self._forget(sitter)
        sitter.close()

    def _died(self, seat: Seat, sitter: Sitter, now: float) -> None:
        self._bury(sitter)
        seat.sitter = None
        if self._stopping:
            return
        ended = how(sitter.process.returncode)
        if not self._was_ready and not any(one.served for one in self._seats):
            raise _no_start(sitter, ended)
        pause_s = seat.died(sitter.born, now)
        log.error("worker %d ended %s; another starts in %.1f s", seat.number, ended, pause_s)

    def _mind_orphans(self) -> None:
        """Let a worker take the connections of a place that is empty, until it is filled."""
        if self._stopping or self._listening is None or self._listening.shared:
            return
        for seat in self._seats:
            adopter = seat.adopter
            if adopter is not None and (seat.served or not adopter.alive or adopter.kill_at is not None):
                adopter.tell({"release": seat.number})
                seat.adopter = None
            if self._was_ready and not seat.served and seat.adopter is None:
                self._find_adopter(seat)

    def _find_adopter(self, seat: Seat) -> None:
        free = [one.sitter for one in self._seats if one.sitter is not None and one.sitter.ready]
        free.sort(key=lambda sitter: sum(one.adopter is sitter for one in self._seats))
        for sitter in free:
            if sitter.alive and sitter.tell({"adopt": seat.number}, [seat.sock.fileno()]):
                seat.adopter = sitter
                return

    def _sitters(self) -> list[Sitter]:
        found = [seat.sitter for seat in self._seats if seat.sitter is not None]
        return found + [one for seat in self._seats for one in seat.leaving]

    def _living(self) -> list[Sitter]:
        return [one for one in self._sitters() if one.alive]

    @property
    def _silence_s(self) -> float:
        """Seconds after which a worker that shows no life is killed: it had its chance to end itself."""
        return self.settings.hang_s + self.settings.drain_s + SPARE_S

    def _watched(self) -> list[Sitter]:
        """Those that must show life: a worker that loads a model may be silent for long."""
        if not self.settings.hang_s:
            return []
        return [one for one in self._sitters() if one.ready and one.kill_at is None]

    def _end(self) -> None:
        self._stop()
        for one in self._sitters():
            left_s = max(0.1, (one.kill_at or 0.0) - time.monotonic())
            try:
                one.process.wait(left_s)
            except subprocess.TimeoutExpired:
                self._kill_late(one)
                one.process.wait()
            self._forget(one)
            one.close()
        self._selector.close()


def _no_start(sitter: Sitter, ended: str) -> CloudDeployError:
    """The error for a worker that ended before any was ready."""
    failure = sitter.failure
    if failure is None:
        return CloudDeployError(
            f"a worker ended {ended} before it was ready",
            why="its last lines stand above",
            fix="mend what they name, then start the server again",
        )
    return ModelError(failure["what"], why=failure["why"], fix=failure["fix"])
