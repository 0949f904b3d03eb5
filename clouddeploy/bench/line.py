"""One connection of the load generator: a request out, an answer in, as little as can be done in between."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, cast

from clouddeploy.client.http1 import END, Malformed, Reader

if TYPE_CHECKING:
    from clouddeploy.bench.generator import Generator

LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})\r\n", re.I)
ANSWER_LIMIT = 1 << 30


class Line(asyncio.Protocol):
    """A connection.

    Args:
        generator: told when it is free again.

    Attributes:
        due: when the request under way was due; below 0 when there is none.
        sent: when it was sent.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._transport: asyncio.Transport | None = None
        self._reader: Reader | None = None
        self.due = -1.0
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, data: bytes, due: float, now: float) -> None:
        """Send a request."""
        assert self._transport is not None
        self.due, self.sent = due, now
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Take bytes. The usual answer comes whole, and is told by its length alone."""
        if self._reader is None and self.due >= 0:
            end = data.find(END)
            found = LENGTH.search(data, 0, end + 2) if end > 0 else None
            if found and end + 4 + int(found[1]) == len(data) and self._is_plain(data, end):
                self._generator.answered(self, int(data[9:12]))
                return
        self._take(data)

    def _is_plain(self, data: bytes, end: int) -> bool:
        return data.startswith(b"HTTP/1.1 ") and data[9:12].isdigit() and b"close" not in data[:end].lower()

    def _take(self, data: bytes) -> None:
        if self.due < 0:
            self.abort("bytes that nobody asked for")
            return
        if self._reader is None:
            self._reader = Reader(ANSWER_LIMIT, bodiless=self._generator.bodiless)
        try:
            answer = self._reader.feed(data)
        except Malformed:
            self.abort("no HTTP")
            return
        if answer is not None:
            self._reader = None
            self._generator.answered(self, answer.status, keep=answer.keep)

    def eof_received(self) -> bool:
        """The server closed; that may be how its answer ends."""
        answer = self._reader.eof() if self._reader is not None else None
        if answer is not None:
            self._reader = None
            self._generator.answered(self, answer.status, keep=False)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """It is closed."""
        self._transport = None
        self._generator.lost(self, "connection lost")

    def close(self) -> None:
        """Close it, when it is open."""
        if self._transport is not None:
            self._transport.close()

    def abort(self, what: str) -> None:
        """Give the request up, and the connection with it."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._generator.lost(self, what)
