"""Kept-alive connections to one container's server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, cast

from clouddeploy.emulator.http.listener import LOOPBACK
from clouddeploy.emulator.http.message import BODILESS, BadMessage, Response, read_body, read_head


class Unreachable(Exception):
    """The container's process is gone, or cut the connection."""


class NotReached(Unreachable):
    """No connection could be made, so the request was certainly not read."""


@dataclass(slots=True)
class _Line:
    socket: socket.socket
    stream: BinaryIO

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


class Upstream:
    """Sends requests to a server on loopback, over connections that are used again.

    Args:
        port: where it listens.
        resend: whether a request is sent again when a connection that was used before breaks: most likely
            the server closed it while it lay idle, but it may also have read the request and died.
    """

    def __init__(self, port: int, *, resend: bool = True) -> None:
        self.port = port
        self._resend = resend
        self._idle: list[_Line] = []
        self._lock = threading.Lock()

    def send(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        timeout_s: float,
    ) -> Response:
        """One request and its response.

        Raises:
            NotReached: nobody listens.
            Unreachable: no answer will come.
            TimeoutError: none came within `timeout_s`.
        """
        lines = [f"{method} {path} HTTP/1.1", f"Host: {LOOPBACK}:{self.port}", f"Content-Length: {len(body)}"]
        lines += [f"{k}: {v}" for k, v in headers]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        message = head + body
        sent = False
        while True:
            line = self._take()
            used_before = line is not None
            try:
                line = line or self._connect(timeout_s)
                response, stays = _exchange(line, message, timeout_s, head_only=method == "HEAD")
            except TimeoutError:
                if line is not None:
                    line.close()
                raise
            except (OSError, BadMessage) as error:
                if line is None and not sent:
                    raise NotReached(str(error)) from error
                if line is not None:
                    line.close()
                if used_before and self._resend:
                    sent = True
                    continue
                raise Unreachable(str(error)) from error
            if stays:
                with self._lock:
                    self._idle.append(line)
            else:
                line.close()
            return response

    def _take(self) -> _Line | None:
        """An idle connection; where requests aren't sent again, one that the server hasn't closed."""
        while True:
            with self._lock:
                line = self._idle.pop() if self._idle else None
            if line is None or self._resend or not _closed(line):
                return line
            line.close()

    def _connect(self, timeout_s: float) -> _Line:
        connection = socket.create_connection((LOOPBACK, self.port), timeout=timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Line(connection, cast(BinaryIO, connection.makefile("rb", buffering=65_536)))

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            line.close()


def _closed(line: _Line) -> bool:
    """Whether the peer has closed an idle connection, or sent what nobody asked for."""
    line.socket.setblocking(False)
    try:
        line.socket.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _exchange(line: _Line, message: bytes, timeout_s: float, *, head_only: bool) -> tuple[Response, bool]:
    """The response, and whether the connection stays open after it (RFC 9112, 9.3 "Persistence")."""
    line.socket.settimeout(timeout_s)
    line.socket.sendall(message)
    head = read_head(line.stream)
    if head is None:
        raise BadMessage("the connection ended before the response")
    first, raw = head
    status = int(first.split(" ", 2)[1])
    headers = {k.lower(): v for k, v in raw}
    wish = headers.get("connection", "").lower()
    stays = wish == "keep-alive" if first.startswith("HTTP/1.0") else wish != "close"
    if head_only or status in BODILESS:
        return Response(status, raw, b""), stays
    if "content-length" in headers or "transfer-encoding" in headers:
        return Response(status, raw, read_body(line.stream, headers)), stays
    return Response(status, raw, line.stream.read()), False
