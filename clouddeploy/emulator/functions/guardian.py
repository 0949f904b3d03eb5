"""The process that ends functions when the embedded cloud was killed (see ``containers/guard.py``)."""

from __future__ import annotations

import subprocess
import sys
import threading

from clouddeploy.emulator.containers import guard

ENDING_S = 2.0


class Guardian:
    """Knows the process groups of living functions; its process is started with the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        """A process group that mustn't outlive the embedded cloud."""
        with self._lock:
            self._groups.add(group)
            if self._process is None or self._process.poll() is not None:
                self._start()
            else:
                self._tell(f"+{group}")

    def drop(self, group: int) -> None:
        """A process group that has ended."""
        with self._lock:
            self._groups.discard(group)
            if self._process is not None:
                self._tell(f"-{group}")

    def _start(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-I", "-S", guard.__file__], stdin=subprocess.PIPE)
        self._tell("\n".join(f"+{group}" for group in self._groups))

    def _tell(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # somebody ended it: a new one learns of all groups
            self._process = None
            if self._groups:
                self._start()

    def close(self) -> None:
        """End the guard's process, and with it what is still registered."""
        with self._lock:
            process, self._process = self._process, None
            self._groups.clear()
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
