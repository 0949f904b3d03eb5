"""Lambda's Runtime API for one process ("Lambda runtime API", Lambda Developer Guide).

The process asks for its next invocation and waits; it posts a response or an error, or an error of its
initialisation. `Desk` is the meeting point of that process and of whoever has something to invoke.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.emulator.http.listener import Listener
from clouddeploy.emulator.http.message import Request, Response

VERSION = "/2018-06-01/runtime/"
ACCEPTED = b'{"status":"OK"}'


@dataclass
class Invocation:
    """One event on its way through a process."""

    request_id: str
    payload: bytes
    deadline: float
    arn: str
    trace: str
    client_context: str = ""
    result: bytes | None = None
    error: bytes | None = None
    taken: bool = False
    done: threading.Event = field(default_factory=threading.Event)


class Desk:
    """The Runtime API of one process.

    Args:
        idle: called when the process asks for an invocation and there is none.
        resume: called before one is handed out.
    """

    def __init__(self, idle: Callable[[], None], resume: Callable[[Invocation], None]) -> None:
        self.ready = threading.Event()
        self.init_error: dict[str, Any] | None = None
        self._idle, self._resume = idle, resume
        self._changed = threading.Condition()
        self._waiting: Invocation | None = None
        self._open: dict[str, Invocation] = {}
        self._closed = False
        self._listener = Listener(self._handle)
        self._listener.start()

    @property
    def address(self) -> str:
        """Value of ``AWS_LAMBDA_RUNTIME_API``."""
        return f"127.0.0.1:{self._listener.port}"

    def give(self, invocation: Invocation) -> None:
        """Hand an invocation to the process, now or when it asks."""
        with self._changed:
            self._waiting = invocation
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._listener.stop()

    def _handle(self, request: Request) -> Response:
        path = request.raw_path.removeprefix(VERSION)
        if request.method == "GET":
            if path == "invocation/next":
                return self._next()
            return Response(200) if path == "restore/next" else Response(404)
        if path in ("init/error", "restore/error"):
            self.init_error = _object(request.body)
            self.ready.set()
            return Response(202, [], ACCEPTED)
        kind, _, rest = path.partition("/")
        request_id, _, what = rest.partition("/")
        with self._changed:
            invocation = self._open.pop(request_id, None)
        if kind != "invocation" or invocation is None or what not in ("response", "error"):
            return Response(400, [("Content-Type", "application/json")], b'{"errorType":"InvalidRequestID"}')
        if what == "response":
            invocation.result = request.body
        else:
            invocation.error = request.body
        invocation.done.set()
        return Response(202, [("Content-Type", "application/json")], ACCEPTED)

    def _next(self) -> Response:
        self.ready.set()
        with self._changed:
            if self._waiting is None and not self._closed:
                self._idle()
            while self._waiting is None and not self._closed:
                self._changed.wait()
            invocation, self._waiting = self._waiting, None
            if invocation is None:
                return Response(410)
            self._open[invocation.request_id] = invocation
            invocation.taken = True
        self._resume(invocation)
        headers = [
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
            ("Lambda-Runtime-Deadline-Ms", str(int(invocation.deadline * 1000))),
            ("Lambda-Runtime-Invoked-Function-Arn", invocation.arn),
            ("Lambda-Runtime-Trace-Id", invocation.trace),
        ]
        if invocation.client_context:
            headers.append(("Lambda-Runtime-Client-Context", invocation.client_context))
        return Response(200, headers, invocation.payload)


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def trace_id() -> str:
    """A trace header that nobody samples."""
    root = f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    return f"Root={root};Parent={secrets.token_hex(8)};Sampled=0"
