"""Lambda's Runtime API for one process of the real awslambdaric ("Using the Lambda runtime API").

Writes are buffered and sent at once: unbuffered ones meet Nagle's algorithm, and each invocation then
waits for a delayed acknowledgement.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_PREFIX = "/2018-06-01/runtime/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def handle_expect_100(self) -> bool:
        found = super().handle_expect_100()
        self.wfile.flush()
        return found

    def do_GET(self) -> None:
        waiting = self.server.events.get() if self.path == f"{_PREFIX}invocation/next" else None
        if waiting is None:
            self.close_connection = True
            return self._send(410 if self.path.endswith("next") else 404, b"")
        request_id, payload, ends = waiting
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(ends * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:test",
        }
        return self._send(200, payload, headers)

    def do_POST(self) -> None:
        body = self._body()
        self.server.answers.put((self.path.removeprefix(_PREFIX), body))
        self._send(202, b"{}")

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: queue.Queue[tuple[str, bytes, float] | None] = queue.Queue()
        self.answers: queue.Queue[tuple[str, bytes]] = queue.Queue()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A process that was ended in the middle of a request is no error."""


class Environment:
    """An execution environment: a context manager that runs the package in `root`.

    Args:
        root: the package.
        log: file for what the process writes.
        env: more environment variables.
        timeout_s: of each invocation.
    """

    def __init__(
        self, root: Path, log: Path, env: dict[str, str] | None = None, timeout_s: float = 30
    ) -> None:
        self._server = _Server()
        self._timeout_s = timeout_s
        self._count = 0
        self.log = log
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        variables = {
            "PATH": os.environ["PATH"],
            "LAMBDA_TASK_ROOT": str(root),
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "test",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            **{name: os.environ[name] for name in ("PYTHONDONTWRITEBYTECODE",) if name in os.environ},
            **(env or {}),
        }
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "awslambdaric", "lambda_handler.handler"],
                cwd=root,
                env=variables,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._server.events.put(None)
        self._server.shutdown()
        self._server.server_close()

    def send(self, event: Any) -> str:
        """Queue an event; the request's id."""
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        self._count += 1
        self._server.events.put((f"request-{self._count}", payload, time.time() + self._timeout_s))
        return f"request-{self._count}"

    def answer(self, wait_s: float = 60) -> tuple[str, bytes]:
        """What was posted next: ``response``, ``error`` or ``init/error``, or ``exit``; its payload."""
        ends = time.monotonic() + wait_s
        while time.monotonic() < ends:
            try:
                path, body = self._server.answers.get(timeout=0.05)
                return path.removeprefix("invocation/").partition("/")[
                    2
                ] if "invocation" in path else path, body
            except queue.Empty:
                if self.process.poll() is not None and self._server.answers.empty():
                    return "exit", b""
        raise TimeoutError(f"nothing was posted: {self.log.read_text()}")

    def invoke(self, event: Any) -> Any:
        """The parsed answer to `event`; asserts that it is one."""
        self.send(event)
        kind, body = self.answer()
        assert kind == "response", (kind, body, self.log.read_text())
        return json.loads(body)

    def lines(self) -> list[dict[str, Any]]:
        """The JSON objects on the log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
