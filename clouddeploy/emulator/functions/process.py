"""A function's process: started with nothing of ours but its variables, frozen between invocations."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from clouddeploy.emulator.containers import function
from clouddeploy.emulator.functions.guardian import Guardian

CHUNK = 65_536
PIPE = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")


class FunctionProcess:
    """A process group that runs one execution environment.

    Args:
        python: the interpreter of its virtual environment.
        folder: its working folder, with the code.
        handler: ``module.function``.
        paths: what comes first on ``sys.path``.
        writable: the only folders that it may write to.
        read_only: a folder that it may not write to, wherever it lies.
        variables: its whole environment.
        guardian: what ends it when the embedded cloud is killed.
    """

    def __init__(
        self,
        python: Path,
        folder: Path,
        handler: str,
        paths: Sequence[str],
        writable: Sequence[str],
        read_only: Path,
        variables: Mapping[str, str],
        guardian: Guardian,
    ) -> None:
        self._guardian = guardian
        self._read_end, write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # room for what is printed between two looks
            fcntl.fcntl(self._read_end, fcntl.F_SETPIPE_SZ, PIPE)
        command = [str(python), "-P", "-s", "-B", "-u", function.__file__]
        try:
            self._process = subprocess.Popen(
                [*command, handler, json.dumps(list(paths)), json.dumps(list(writable)), str(read_only)],
                cwd=folder, env=dict(variables), stdin=subprocess.DEVNULL, stdout=write_end,
                stderr=write_end, start_new_session=True,
            )  # fmt: skip
        except OSError:
            os.close(self._read_end)
            raise
        finally:
            os.close(write_end)
        self.pid = self._process.pid
        self._frozen = False
        self._ended = False
        self._peak_mb = 0
        self._state = threading.RLock()
        self._output = threading.Lock()
        self._rest = b""
        guardian.add(self.pid)

    @property
    def alive(self) -> bool:
        """Whether it runs or lies frozen."""
        return not self._ended and self._process.poll() is None

    def freeze(self) -> None:
        """Give it no more time, as Lambda does between invocations."""
        with self._state:
            if not self._ended and not self._frozen:
                self._frozen = True
                self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        with self._state:
            if not self._ended and self._frozen:
                self._frozen = False
                self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it may have ended by itself
            os.killpg(self.pid, number)

    def output(self, *, everything: bool) -> list[str]:
        """The lines that it has printed since the last time; with `everything` also one without an end."""
        with self._output:
            if self._ended:
                return []
            pieces = [self._rest]
            while True:
                try:
                    piece = os.read(self._read_end, CHUNK)
                except BlockingIOError:
                    break
                if not piece:
                    break
                pieces.append(piece)
            *lines, self._rest = b"".join(pieces).split(b"\n")
            if everything and self._rest:
                lines.append(self._rest)
                self._rest = b""
            # The client separates the lines of one error by carriage returns: they are one event.
            return [line.decode("utf-8", "replace").strip("\r").replace("\r", "\n") for line in lines]

    def rss_mb(self) -> float:
        """Resident memory of the process and its children in MiB; 0 where the system doesn't tell."""
        return sum(_resident(pid) for pid in _family(self.pid)) / 2**20

    def peak_mb(self) -> int:
        """The most resident memory that the process ever had, in MiB, rounded up."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self._peak_mb = -(-int(line.split()[1]) // 1024)
        return self._peak_mb

    def wait(self, seconds: float) -> bool:
        """Whether it ended within so many seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> str:
        """End it with its children; how it ended, in the words of Lambda's log."""
        with self._state, self._output:
            if not self._ended:
                self.peak_mb()  # nobody tells when it has ended
                exited = self._process.poll()
                self._signal(signal.SIGKILL)
                self._process.wait()
                self._ended = True
                os.close(self._read_end)
                self._guardian.drop(self.pid)
                self._how = exited if exited is not None else -signal.SIGKILL
        if self._how == 0:
            return "Runtime exited without providing a reason"
        if self._how < 0:
            name = signal.strsignal(-self._how) or str(-self._how)
            return f"Runtime exited with error: signal: {name.lower()}"
        return f"Runtime exited with error: exit status {self._how}"


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        with contextlib.suppress(OSError):  # ended in between, or a system without this file
            for task in os.listdir(f"/proc/{one}/task"):
                waiting += map(int, Path(f"/proc/{one}/task/{task}/children").read_text().split())
    return found


def remaining(deadline: float) -> float:
    """Seconds until a moment of the monotonic clock, never negative."""
    return max(0.0, deadline - time.monotonic())
