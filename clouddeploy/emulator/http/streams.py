"""Bodies that are too large to be held: read from the connection as they arrive, sent from a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

PIECE = 1 << 20
LINE_LIMIT = 65_536


class BadMessage(Exception):
    """The peer doesn't speak HTTP/1.1 as we need it."""


class BodyStream:
    """A request's body, read as it arrives.

    Args:
        stream: the connection, at the body's first byte.
        length: bytes of the body; None when it comes in chunks.
    """

    def __init__(self, stream: BinaryIO, length: int | None) -> None:
        self.length = length
        self._stream = stream
        self._left = length or 0
        self._chunked = length is None
        self._ended = length == 0

    def read(self, size: int = PIECE) -> bytes:
        """Up to `size` bytes, fewer only where a chunk or the body ends; empty at its end.

        Raises:
            BadMessage: the connection ended before the body did.
        """
        if self._left == 0 and self._chunked and not self._ended:
            self._next_chunk()
        if self._ended:
            return b""
        piece = self._stream.read(min(size, self._left))
        if not piece:
            raise BadMessage(f"the body ends {self._left} bytes too early")
        self._left -= len(piece)
        if self._left == 0:
            if self._chunked:
                self._stream.readline(LINE_LIMIT)
            else:
                self._ended = True
        return piece

    def _next_chunk(self) -> None:
        line = self._stream.readline(LINE_LIMIT)
        try:
            self._left = int(line.split(b";")[0].strip(), 16)
        except ValueError:
            raise BadMessage(f"bad chunk size {line[:40]!r}") from None
        if self._left == 0:
            self._ended = True
            while self._stream.readline(LINE_LIMIT) not in (b"\r\n", b"\n", b""):
                continue

    def drain(self) -> None:
        """Read what is left of it, so that the next request can follow."""
        while self.read():
            continue


@dataclass(slots=True)
class FilePart:
    """A part of an open file that becomes a response's body; the file is closed after sending.

    Args:
        file: open for reading.
        offset: its first byte.
        size: how many bytes.
    """

    file: BinaryIO
    offset: int
    size: int

    @classmethod
    def whole(cls, file: BinaryIO) -> FilePart:
        """All of a file."""
        return cls(file, 0, os.fstat(file.fileno()).st_size)
