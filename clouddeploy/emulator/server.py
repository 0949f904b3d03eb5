"""An embedded cloud of one's own, for tests and scripts: started and ended with a ``with`` block."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from clouddeploy.emulator.connection import Connection, request
from clouddeploy.emulator.settings import Settings
from clouddeploy.errors import CloudDeployError

ENDING_S = 15.0


class Emulator:
    """The embedded cloud in a process of its own, which ends with this one even when it is killed.

    Args:
        settings: times and limits; by default everything happens as fast as it can.
        port: where it shall answer on 127.0.0.1; 0 lets the operating system choose.
    """

    def __init__(self, settings: Settings | None = None, *, port: int = 0) -> None:
        self.settings = settings or Settings()
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.connection = Connection("")

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.connection.url

    @property
    def google_url(self) -> str:
        """Where it answers for Google Cloud."""
        return self.connection.google_url

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> Emulator:
        """Start it; returns when it answers.

        Raises:
            CloudDeployError: it could not start; the end of its log is in the message.
        """
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
        command = [sys.executable, "-m", "clouddeploy.emulator", "--supervised", "--port", str(self._port)]
        self._process = subprocess.Popen(
            [*command, "--settings", json.dumps(asdict(self.settings))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            why = self.log()[-2000:].strip()
            self.close()
            raise CloudDeployError(
                "the embedded cloud could not start", why=why, fix="pip install 'clouddeploy[emulator]'"
            )
        told = json.loads(line)
        self.connection = Connection(told["url"], google_url=told["google_url"])
        return self

    def log(self) -> str:
        """What it has logged."""
        if self._log is None:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode("utf-8", "replace")

    def reset(self) -> None:
        """Forget everything that was created, end every container, count from zero again."""
        request(self.url, "POST", "reset")

    def state(self) -> dict[str, Any]:
        """Living ``processes`` (pid, port, endpoints), number of ``calls`` by operation, ``settings``."""
        found: dict[str, Any] = request(self.url, "GET", "state")
        return found

    def configure(self, **settings: Any) -> None:
        """Change some settings while it runs.

        Raises:
            SpecError: one is unknown or out of range.
        """
        self.settings = self.settings.changed(settings)
        request(self.url, "POST", "settings", settings)

    def close(self) -> None:
        """End it and all that it started."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
