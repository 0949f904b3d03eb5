"""One request and the way back to who sent it."""

from __future__ import annotations

import itertools
import logging
import os
import re
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clouddeploy.server.message import Headers, Request, Response

if TYPE_CHECKING:
    from clouddeploy.server.connection import Connection

log = logging.getLogger(__name__)
ID = re.compile(r"[\x21-\x7e]{1,128}")
_prefix = secrets.token_hex(6)
_numbers = itertools.count(1)


def _renew() -> None:
    """Give a forked process ids of its own."""
    global _prefix
    _prefix = secrets.token_hex(6)


os.register_at_fork(after_in_child=_renew)


class Exchange:
    """A request that waits for its response.

    Attributes:
        request: what was asked.
        started: `time.perf_counter` when it was complete.
        batch: examples in it, once that is known.
        gone: the client went away; an answer would reach nobody.
        status: of the response that was sent; 0 before.
    """

    __slots__ = (
        "_attributes",
        "_connection",
        "_id",
        "_on_gone",
        "batch",
        "gone",
        "request",
        "started",
        "status",
    )

    def __init__(self, request: Request, connection: Connection) -> None:
        self.request = request
        self.started = time.perf_counter()
        self.batch = 0
        self.gone = False
        self.status = 0
        self._connection = connection
        self._id = ""
        self._attributes: dict[str, Any] | None = None
        self._on_gone: list[Callable[[], None]] | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        """What the log and the metrics should know besides: ``model``, ``version``, ``key``, …"""
        if self._attributes is None:
            self._attributes = {}
        return self._attributes

    @property
    def id(self) -> str:
        """The request's id: the caller's own, where it is printable ASCII, or one of ours."""
        if not self._id:
            given = self.request.head.headers.get("x-request-id")
            self._id = given if given and ID.fullmatch(given) else f"{_prefix}-{next(_numbers):x}"
        return self._id

    def reply(self, response: Response) -> None:
        """Send the response. What comes after the first is ignored."""
        if self.status:
            return
        self.status = response.status
        self._connection.respond(self, response)

    def stream(
        self, status: int = 200, content_type: str = "text/event-stream", headers: Headers = ()
    ) -> Stream:
        """Begin a response whose length isn't known; its bytes are sent as they come.

        Raises:
            RuntimeError: there is a response already.
        """
        if self.status:
            raise RuntimeError(f"request {self.id} is answered with {self.status} already")
        self.status = status
        return self._connection.begin_stream(self, status, content_type, headers)

    def fail(self, response: Response) -> None:
        """Send `response`, or cut the one that was begun."""
        if self.status:
            self._connection.cut(self)
        else:
            self.reply(response)

    def on_gone(self, act: Callable[[], None]) -> None:
        """Call `act` when the client goes away before it is answered."""
        self._on_gone = [*(self._on_gone or ()), act]

    def leave(self) -> None:
        """The client went away."""
        self.gone = True
        for act in self._on_gone or ():
            try:
                act()
            except Exception:
                log.exception("what follows when the client of request %s goes failed", self.id)


class Sent(bytes):
    """The body of a response that was sent bit by bit, of which the length alone is known."""

    size = 0

    def __len__(self) -> int:
        return self.size


class Stream:
    """A response that is sent bit by bit.

    Args:
        connection: that it goes to.
        exchange: what it answers.
        chunked: its parts tell their lengths.
        silent: none is sent, as for HEAD.
        headers: of the response.

    Attributes:
        closed: it ended, or the client went away.
    """

    def __init__(
        self,
        connection: Connection,
        exchange: Exchange,
        *,
        chunked: bool,
        silent: bool = False,
        headers: Headers = (),
    ) -> None:
        self._connection = connection
        self._exchange = exchange
        self._chunked = chunked
        self._silent = silent  # the answer to HEAD has no body
        self._headers = headers
        self.closed = False
        self.size = 0

    def write(self, data: bytes) -> None:
        """Send `data`; nothing when the stream is closed."""
        if self.closed or not data:
            return
        self.size += len(data)
        if self._silent:
            return
        self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    @property
    def sent(self) -> Response:
        """What went out, for those who watch."""
        body = Sent()
        body.size = self.size
        return Response(self._exchange.status, body, "", self._headers)

    async def drained(self) -> None:
        """Return when the client has taken what was written, so that a slow one is waited for."""
        await self._connection.drained()

    def close(self) -> None:
        """End the response."""
        if self.closed:
            return
        self.closed = True
        if self._chunked and not self._silent:
            self._connection.write(b"0\r\n\r\n")
        self._connection.end_stream(self._exchange, self)

    def abort(self) -> None:
        """End the connection without the response's regular end, so that the client sees that it is cut."""
        if not self.closed:
            self.closed = True
            self._connection.abort()
