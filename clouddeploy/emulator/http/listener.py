"""A server on loopback with one thread per connection.

Threads rather than an event loop: moto's applications are synchronous, a connection is kept alive by
the client that uses it, and handing a request from a loop to a thread costs more than parsing it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable
from typing import BinaryIO, cast

from clouddeploy.emulator.http.message import (
    BODILESS,
    BadMessage,
    Request,
    Response,
    body_stream,
    read_body,
    read_head,
    render,
)

LOOPBACK = "127.0.0.1"
Handler = Callable[[Request], Response]
log = logging.getLogger(__name__)


class Listener:
    """Answers requests with `handle` on 127.0.0.1.

    Args:
        handle: called from several threads at once; an exception becomes a 500.
        port: 0 lets the operating system choose.
        streamed: tells from a request's head whether `handle` reads the body itself, from `Request.stream`.
    """

    def __init__(
        self, handle: Handler, *, port: int = 0, streamed: Callable[[Request], bool] | None = None
    ) -> None:
        self._handle = handle
        self._streamed = streamed
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((LOOPBACK, port))
        self._socket.listen(512)
        self.port: int = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def start(self) -> None:
        """Begin to accept connections."""
        threading.Thread(target=self._accept, name="listener", daemon=True).start()

    def stop(self) -> None:
        """Stop accepting and cut the open connections."""
        self._closing.set()
        # A plain close doesn't wake a thread that is blocked in accept.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the peer may have closed it already
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                if self._closing.is_set():
                    return
                log.exception("accept failed")
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), name="connection", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb", buffering=65_536) as stream:
                while self._exchange(connection, cast(BinaryIO, stream)):
                    continue
        except BadMessage as error:
            log.warning("dropped a connection: %s", error)
        except OSError as error:
            log.debug("a connection ended: %s", error)
        finally:
            with self._lock:
                self._open.discard(connection)

    def _exchange(self, connection: socket.socket, stream: BinaryIO) -> bool:
        """Answer one request; whether the connection stays open."""
        head = read_head(stream)
        if head is None:
            return False
        first, raw = head
        try:
            method, target, version = first.split(" ")
        except ValueError:
            raise BadMessage(f"bad request line {first[:80]!r}") from None
        headers: dict[str, str] = {}
        for name, value in raw:
            low = name.lower()
            headers[low] = f"{headers[low]},{value}" if low in headers else value
        if headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = Request(method, target, headers, raw)
        if self._streamed is not None and self._streamed(request):
            request.stream = body_stream(stream, headers)
        else:
            request.body = read_body(stream, headers)
        close = headers.get("connection", "").lower() == "close" or version == "HTTP/1.0"
        response = self._answer(request)
        if request.stream is not None:
            request.stream.drain()
        for piece in render(response, head_only=method == "HEAD", close=close):
            connection.sendall(piece)
        if response.file is not None:
            _send_file(connection, response, head_only=method == "HEAD")
        return not close

    def _answer(self, request: Request) -> Response:
        try:
            return self._handle(request)
        except BadMessage:  # the peer was cut off in the middle of a body: there is nobody to answer
            raise
        except Exception as error:  # the boundary: one request's failure must not end the server
            log.exception("%s %s failed", request.method, request.target)
            message = f"the embedded cloud failed: {type(error).__name__}"
            body = json.dumps({"__type": "InternalFailure", "message": message}).encode()
            headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", "InternalFailure")]
            return Response(500, headers, body)


def _send_file(connection: socket.socket, response: Response, *, head_only: bool) -> None:
    part = response.file
    assert part is not None
    with part.file as file:
        if part.size and not head_only and response.status not in BODILESS:
            connection.sendfile(file, part.offset, part.size)
