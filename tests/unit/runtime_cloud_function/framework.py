"""Google's own functions-framework with the entry, as a process on loopback."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from clouddeploy.emulator.google.plane.environments import environment_for

READY_S = 90.0
ANSWER_S = 30.0


def python_with(folder: Path, *names: str) -> Path:
    """An interpreter that has functions-framework, and this machine's own distributions of `names`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text("".join(f"{name}\n" for name in names))
    environment = environment_for(folder, "", lambda severity, text: None, threading.Event())
    return environment / "bin" / "python"


class Serving:
    """functions-framework with the function in `root`.

    Args:
        root: folder with ``main.py``.
        python: what runs it.
        log: file for its output.
        signature: ``"http"`` or ``"cloudevent"``.
        variables: more of its environment.
    """

    def __init__(
        self, root: Path, python: Path, log: Path, *, signature: str = "http", **variables: str
    ) -> None:
        self.log = log
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        environment = {
            "PATH": os.environ["PATH"],
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "FUNCTION_TARGET": "predict" if signature == "http" else "on_event",
            "FUNCTION_SIGNATURE_TYPE": signature,
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **variables,
        }
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [str(python), "-P", "-s", "-m", "functions_framework"],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def call(
        self, body: bytes, path: str = "/", method: str = "POST", /, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of the answer; underscores in names of headers are hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read(), {n.lower(): v for n, v in answer.getheaders()}
        finally:
            connection.close()

    def _wait(self) -> None:
        ends = time.monotonic() + READY_S
        while time.monotonic() < ends:
            if self.process.poll() is not None:
                raise AssertionError(f"exit {self.process.returncode}: {self.log.read_text()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"not ready: {self.log.read_text()}")

    def _stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # a worker that hangs outlives its arbiter else
            self.process.wait()
