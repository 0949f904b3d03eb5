"""A body that comes in parts: of a length told beforehand, or in chunks (RFC 9112, section 7.1)."""

from __future__ import annotations

import re

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.heads import TOKEN, bad
from clouddeploy.server.passing import TEXT

LINE = 256
"""Bytes of a chunk's first line, extensions included."""
TRAILERS = 4096
"""Bytes of all trailers together."""
SPARE = 16 << 10
"""Bytes that chunks may take besides what they hold, over the 16 for each and twice what is in it."""
FIRST = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;" + TEXT + rb"*)?")
TRAILER = re.compile(TOKEN + rb"+:" + TEXT + rb"*")


class Sized:
    """A body whose length is known.

    Args:
        length: bytes of it.

    Attributes:
        received: bytes that came so far.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._parts: list[bytes] = []
        self.received = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Add `data`; when the body is complete, the body and what follows it."""
        self._parts.append(data)
        self.received += len(data)
        if self.received < self._length:
            return None
        whole = b"".join(self._parts)
        return whole[: self._length], whole[self._length :]


class Chunks:
    """A body in chunks, put together as its bytes arrive.

    Args:
        limit: bytes of the body at the most.

    Attributes:
        received: bytes that came so far, those around the chunks included.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._body = bytearray()
        self._left = -1
        self._beside = 0
        self._trailing = False
        self._trailers = 0
        self.received = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Add `data`; when the body is complete, the body and what follows it.

        Raises:
            WireError: ``bad_request`` or ``too_large``.
        """
        self.received += len(data)
        self._buffer += data
        while not self._trailing:
            if self._left < 0:
                if not self._begin():
                    return None
                continue
            if len(self._buffer) < self._left + 2:
                return None
            if self._buffer[self._left : self._left + 2] != b"\r\n":
                raise bad("a chunk is longer than it says")
            self._body += self._buffer[: self._left]
            del self._buffer[: self._left + 2]
            self._left = -1
        return self._end()

    def _begin(self) -> bool:
        end = self._buffer.find(b"\r\n", 0, LINE)
        if end < 0:
            if len(self._buffer) >= LINE:
                raise bad("a chunk's first line is too long")
            return False
        line = bytes(self._buffer[:end])
        found = FIRST.fullmatch(line)
        if found is None:
            raise bad(f"a chunk begins with {line[:20]!r}, which is no size")
        self._left = size = int(found[1], 16)
        del self._buffer[: end + 2]
        if size + len(self._body) > self._limit:
            raise WireError(
                "too_large",
                f"the body has more than {self._limit} bytes",
                "send fewer examples in one request",
            )
        self._beside = max(0, self._beside + end + 4 - 16 - 2 * size)
        if self._beside > SPARE:
            raise bad("the chunks hold too little for what is around them")
        self._trailing = size == 0
        return True

    def _end(self) -> tuple[bytes, bytes] | None:
        """After the last chunk: trailers, which mean nothing here, and an empty line."""
        while True:
            end = self._buffer.find(b"\r\n")
            if self._trailers + (len(self._buffer) if end < 0 else end) > TRAILERS:
                raise bad("the trailers are too long")
            if end < 0:
                return None
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            if end == 0:
                return bytes(self._body), bytes(self._buffer)
            if TRAILER.fullmatch(line) is None:
                raise bad(f"a trailer is {line[:40]!r}")
            self._trailers += end + 2
