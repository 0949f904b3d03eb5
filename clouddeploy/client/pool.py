"""Kept connections of a blocking client: the one used last is used next, so that the others may time out."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable

from clouddeploy.client.address import Address
from clouddeploy.client.http1 import Answer, Malformed, Reader
from clouddeploy.client.settings import Timeouts
from clouddeploy.client.steps import Failure, Send

CHUNK = 256 << 10
KEPT_S = 60.0
"""Below the 75 s after which clouddeploy's server closes an idle connection, and many others do."""


class Pool:
    """Connections to one server, at most `size` at once; others wait for one.

    Args:
        address: of the server.
        timeouts: how long to wait.
        tls: trust for https; None for the system's.
        size: connections at the most.
        limit: bytes of an answer's body at the most.
        now: the client's clock.
    """

    def __init__(
        self,
        address: Address,
        timeouts: Timeouts,
        tls: ssl.SSLContext | None,
        size: int,
        limit: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._timeouts = timeouts
        self._tls = address.tls(tls)
        self._limit = limit
        self._now = now
        self._lock = threading.Lock()
        self._idle: list[tuple[socket.socket, float]] = []
        self._seats = threading.BoundedSemaphore(size)
        self._size = size
        self._process = os.getpid()

    def exchange(self, send: Send) -> Answer | Failure:
        """Send bytes and wait for the answer."""
        seats = self._seats
        if not seats.acquire(timeout=max(0.0, send.deadline - self._now())):
            return Failure("late", TimeoutError("every connection of the client was in use"))
        try:
            return self._exchange(send)
        finally:
            seats.release()

    def _exchange(self, send: Send) -> Answer | Failure:
        sock = self._take()
        if sock is None:
            try:
                sock = self._connect(send.deadline)
            except OSError as error:
                return Failure("late" if self._now() >= send.deadline else "unsent", error)
        answer: Answer | Failure | None = None
        try:
            answer = self._talk(sock, send)
        finally:
            if isinstance(answer, Answer) and answer.keep:
                with self._lock:
                    self._idle.append((sock, self._now()))
            else:
                sock.close()
        return answer

    def _talk(self, sock: socket.socket, send: Send) -> Answer | Failure:
        reader = Reader(self._limit, bodiless=send.bodiless)
        try:
            sock.settimeout(self._patience(send.deadline))
            sock.sendall(send.data)
            while True:
                sock.settimeout(self._patience(send.deadline))
                data = sock.recv(CHUNK)
                answer = reader.feed(data) if data else reader.eof()
                if answer is not None:
                    return answer
                if not data:
                    return Failure("lost", ConnectionError("the connection was closed"))
        except Malformed as error:
            return Failure("malformed", error)
        except TimeoutError as error:
            return Failure("late" if self._now() >= send.deadline else "slow", error)
        except OSError as error:
            return Failure("lost", error)

    def _patience(self, deadline: float) -> float:
        left = deadline - self._now()
        if left <= 0:
            raise TimeoutError("the call's time is over")
        return min(self._timeouts.read_s, left)

    def _take(self) -> socket.socket | None:
        """An idle connection that is still good."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                sock, since = self._idle.pop()
            if self._now() - since < KEPT_S and not readable(sock.fileno()):
                return sock
            sock.close()

    def _connect(self, deadline: float) -> socket.socket:
        wait_s = min(self._timeouts.connect_s, deadline - self._now())
        if wait_s <= 0:
            raise TimeoutError("the call's time is over")
        sock = socket.create_connection((self._address.host, self._address.port), timeout=wait_s)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._tls.wrap_socket(sock, server_hostname=self._address.host) if self._tls else sock
        except BaseException:
            sock.close()
            raise

    def is_forked(self) -> bool:
        """Whether this is a new process since the last look: then the parent has kept its connections."""
        if self._process == os.getpid():
            return False
        self._lock, self._idle = threading.Lock(), []
        self._seats = threading.BoundedSemaphore(self._size)
        self._process = os.getpid()
        return True

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for sock, _ in idle:
            sock.close()

    @property
    def idle(self) -> int:
        """Connections that are open and unused."""
        with self._lock:
            return len(self._idle)


def readable(descriptor: int) -> bool:
    """Whether something waits to be read: on an idle connection its end, or bytes that nobody asked for."""
    if not hasattr(select, "poll"):
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
