"""One container: a process of its own, in an environment of its own, with none of the user's secrets."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from clouddeploy.emulator.containers import sagemaker
from clouddeploy.emulator.http.listener import LOOPBACK
from clouddeploy.emulator.http.message import Response
from clouddeploy.emulator.http.upstream import Unreachable, Upstream
from clouddeploy.emulator.plane.environment import Environment

ENDING_S = 2.0
DYING_S = 1.0
LINE_LIMIT = 200_000
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class NotServing(Exception):
    """The process ended, or didn't answer its first ping in time."""


class Process:
    """A container's process, serving on a port of its own.

    Args:
        root: its folder, which holds ``model``, and where its home and temporary files are.
        environment: what it can import.
        variables: the environment variables that SageMaker and the model's definition set.
        log: receives each line that it prints.
    """

    def __init__(
        self, root: Path, environment: Environment, variables: Mapping[str, str], log: Callable[[str], None]
    ) -> None:
        self.started = time.time()
        self._log = log
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
            listening.bind((LOOPBACK, 0))
            listening.listen(128)
            self.port: int = listening.getsockname()[1]
            # The socket is made here and inherited, so that no port is ever guessed or polled for: a
            # connection made now waits until the process accepts it, and breaks if it never does.
            self._process = subprocess.Popen(
                [
                    str(environment.python), "-I", "-B", "-u", sagemaker.__file__,
                    str(root / "model"), str(listening.fileno()),
                ],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=root,
                env=_variables(root, environment, variables),
                pass_fds=(listening.fileno(),), start_new_session=True,
            )  # fmt: skip
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
                if left > 0 and not isinstance(error, TimeoutError):
                    raise NotServing(f"the process ended with {self.end()}") from error
            if left <= 0 or time.monotonic() >= deadline:
                raise NotServing(f"no answer to a ping within {timeout_s:g} seconds")
            time.sleep(0.05)

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
        try:
            code = self._process.wait(ENDING_S if self.alive else 0)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.wait()
        self._kill()
        self._reader.join(ENDING_S)
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _kill(self) -> None:
        # What the handler started lives in the same process group, and mustn't outlive it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _variables(root: Path, environment: Environment, given: Mapping[str, str]) -> dict[str, str]:
    for name in ("home", "tmp"):
        (root / name).mkdir(exist_ok=True)
    return {
        "PATH": f"{environment.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(root / "home"),
        "TMPDIR": str(root / "tmp"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        **dict.fromkeys(THREADS, "1"),
        "SAGEMAKER_BASE_DIR": str(root),
        "SM_MODEL_DIR": str(root / "model"),
        **given,
    }
