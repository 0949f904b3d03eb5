"""One container: a process of its own, in an environment of its own, with none of the user's secrets."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.emulator.functions.guardian import Guardian
from clouddeploy.emulator.http.message import Response
from clouddeploy.emulator.http.upstream import Unreachable, Upstream

ENDING_S = 2.0
DYING_S = 1.0
LOOK_S = 0.03
LINE_LIMIT = 200_000
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class NotServing(Exception):
    """The process ended, or didn't answer its first ping in time."""


@dataclass(frozen=True)
class Start:
    """What a process is started with.

    Args:
        command: the program and its arguments.
        folder: where it starts.
        variables: all of its environment variables.
        port: where it will listen.
        inherits: number of the listening socket that it is handed; None when it opens its own.
        guardian: ends it when the embedded cloud is killed; None when it sees to that by itself.
    """

    command: tuple[str, ...]
    folder: Path
    variables: Mapping[str, str]
    port: int
    inherits: int | None = None
    guardian: Guardian | None = None


class Process:
    """A container's process, serving on a port of its own.

    Args:
        start: what it is started with.
        log: receives each line that it prints.

    Raises:
        OSError: there is no such program.
    """

    def __init__(self, start: Start, log: Callable[[str], None]) -> None:
        self.started = time.time()
        self.port = start.port
        self._log, self._guardian, self._waits = log, start.guardian, start.inherits is not None
        self._process = subprocess.Popen(
            start.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=start.folder, env=dict(start.variables),
            pass_fds=() if start.inherits is None else (start.inherits,), start_new_session=True,
        )  # fmt: skip
        if self._guardian is not None:
            self._guardian.add(self._process.pid)
        self.pid = self._process.pid
        self._upstream = Upstream(self.port)
        self._reader = threading.Thread(target=self._read, name=f"log-{self.pid}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while line := stream.readline(LINE_LIMIT):
            self._log(line.decode("utf-8", "replace").rstrip("\r\n"))

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def wait_ready(self, timeout_s: float) -> None:
        """Ping until it answers 200.

        A connection to an inherited socket waits until the process accepts it, and breaks if it never does.

        Raises:
            NotServing: it ended, or it took longer.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            try:
                if left > 0 and self._upstream.send("GET", "/ping", timeout_s=left).status == 200:
                    return
            except (Unreachable, TimeoutError) as error:
                if left > 0 and not isinstance(error, TimeoutError) and (self._waits or not self.alive):
                    raise NotServing(f"the process ended with {self.end()}") from error
            if left <= 0 or time.monotonic() >= deadline:
                raise NotServing(f"no answer to a ping within {timeout_s:g} seconds")
            time.sleep(LOOK_S)

    def invoke(self, headers: list[tuple[str, str]], body: bytes, timeout_s: float) -> Response:
        """One prediction.

        Raises:
            NotReached: the process was gone before.
            Unreachable: the process is gone.
            TimeoutError: it didn't answer in time.
        """
        return self._upstream.send("POST", "/invocations", headers, body, timeout_s=timeout_s)

    def ended(self) -> bool:
        """Whether it has ended; a process that is just dying closes its connections a moment before."""
        try:
            self._process.wait(DYING_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> str:
        """End the process and its children; how it ended, in words."""
        self._upstream.close()
        stdin = self._process.stdin
        if stdin is not None:
            with contextlib.suppress(OSError):  # it may be gone already
                stdin.close()
        if self._guardian is not None:
            # "How your container should respond to … requests" (Developer Guide): SIGTERM, then SIGKILL.
            self._process.terminate()
        try:
            code = self._process.wait(ENDING_S if self.alive else 0)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.wait()
        self._kill()
        if self._guardian is not None:
            self._guardian.drop(self.pid)
        self._reader.join(ENDING_S)
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _kill(self) -> None:
        # What the handler started lives in the same process group, and mustn't outlive it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def own_folders(root: Path) -> dict[str, str]:
    """Home and temporary folder below `root`, and the language, as every container has them."""
    for name in ("home", "tmp"):
        (root / name).mkdir(exist_ok=True)
    home, temporary = str(root / "home"), str(root / "tmp")
    return {"HOME": home, "TMPDIR": temporary, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
