"""A body that comes in chunks (RFC 9112, section 7.1), put together as its bytes arrive."""

from __future__ import annotations

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.heads import bad

LINE = 256
"""Bytes of a chunk's first line, extensions included; of all trailers together sixteen times that."""


class Chunks:
    """Takes bytes until the body is complete.

    Args:
        limit: bytes of the body at the most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._body = bytearray()
        self._left = -1
        self._trailing = False

    @property
    def size(self) -> int:
        """Bytes of the body so far."""
        return len(self._body)

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Add `data`; when the body is complete, the body and what follows it.

        Raises:
            WireError: ``bad_request`` or ``too_large``.
        """
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
        end = self._buffer.find(b"\r\n")
        if end < 0 or end > LINE:
            if len(self._buffer) > LINE:
                raise bad("a chunk's first line is too long")
            return False
        digits = bytes(self._buffer[:end]).partition(b";")[0].strip(b" \t")
        if not digits or digits.strip(b"0123456789abcdefABCDEF") or len(digits) > 15:
            raise bad(f"a chunk's size is {digits[:20]!r}")
        self._left = int(digits, 16)
        del self._buffer[: end + 2]
        if self._left + len(self._body) > self._limit:
            raise WireError(
                "too_large",
                f"the body has more than {self._limit} bytes",
                "send fewer examples in one request",
            )
        self._trailing = self._left == 0
        return True

    def _end(self) -> tuple[bytes, bytes] | None:
        """After the last chunk: trailers, which mean nothing here, and an empty line."""
        while True:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                if len(self._buffer) > LINE * 16:
                    raise bad("the trailers are too long")
                return None
            del self._buffer[: end + 2]
            if end == 0:
                return bytes(self._body), bytes(self._buffer)
