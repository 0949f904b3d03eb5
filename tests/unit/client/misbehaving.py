"""A server on loopback that does to each request what a test tells it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Got:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Deed = Callable[[socket.socket, Got], bool]
"""Answers a request, or doesn't; whether the connection is kept."""


def answering(
    value: Any = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    raw: bytes | None = None,
) -> Deed:
    body = json.dumps(value).encode() if raw is None else raw
    lines = {"content-type": "application/json", **(headers or {}), "content-length": str(len(body))}
    head = "".join(f"{name}: {text}\r\n" for name, text in lines.items())

    def deed(sock: socket.socket, got: Got) -> bool:
        sock.sendall(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body)
        return True

    return deed


def saying(data: bytes, *, keep: bool = False) -> Deed:
    """Send exactly these bytes."""

    def deed(sock: socket.socket, got: Got) -> bool:
        sock.sendall(data)
        return keep

    return deed


def dropping(sock: socket.socket, got: Got) -> bool:
    """Close without an answer."""
    return False


def resetting(sock: socket.socket, got: Got) -> bool:
    """End the connection by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    return False


def refusing(status: int, code: str = "overloaded", **headers: str) -> Deed:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return answering({"error": {"code": code, "message": f"told {code}", "fix": "mend"}}, status, named)


@dataclass
class Server:
    """Does the next deed for each request, the last one for ever.

    Args:
        deeds: what to do, in order.
        tls: encrypts.
    """

    deeds: list[Deed]
    tls: ssl.SSLContext | None = None
    requests: list[Got] = field(default_factory=list)
    connections: int = 0
    stalled: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Server:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._lock = threading.Lock()
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stalled.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listening.getsockname()[1]}"

    def stalling(self, sock: socket.socket, got: Got) -> bool:
        """Never answer."""
        self.stalled.wait(30)
        return False

    def dripping(self, sock: socket.socket, got: Got) -> bool:
        """Send an answer byte by byte, without end."""
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while not self.stalled.wait(0.01):
            sock.sendall(b"x")
        return False

    def hang_up(self) -> None:
        """End every connection."""
        for sock in self._sockets:
            with_shutdown(sock)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(sock)
            self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            file = sock.makefile("rb")
            while (got := _read(file)) is not None:
                with self._lock:
                    self.requests.append(got)
                    deed = self.deeds.pop(0) if len(self.deeds) > 1 else self.deeds[0]
                if not deed(sock, got):
                    break
            file.close()
        except OSError:
            return
        finally:
            sock.close()


def with_shutdown(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _read(file: Any) -> Got | None:
    first = file.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = {}
    while (line := file.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Got(first[0], first[1], headers, file.read(int(headers.get("content-length", 0))))
