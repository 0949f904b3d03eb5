"""What is sent: a range of a file, read piece by piece as the socket takes it."""

from __future__ import annotations

import os
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Protocol

from clouddeploy.engine.waiting import check_cancelled

PIECE_BYTES: Final = 1 << 20

Told = Callable[[int], None]
"""Told how many bytes of a range were handed to the socket so far."""


class Hash(Protocol):
    """What is used of `hashlib`'s objects."""

    def update(self, content: bytes, /) -> None:
        """Take more bytes."""


@dataclass(frozen=True)
class Content:
    """The bytes of one object to be.

    Args:
        file: where they are: a regular file, open and unbuffered. Several threads read from it.
        size: in bytes.
    """

    file: BinaryIO
    size: int
    _reading: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` on.

        Raises:
            OSError: the file has become shorter.
        """
        piece = self._at(offset, count)
        while len(piece) < count and (more := self._at(offset + len(piece), count - len(piece))):
            piece += more
        if len(piece) < count:
            raise OSError(f"the file to be sent has fewer than {self.size} bytes now")
        return piece

    def _at(self, offset: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self.file.fileno(), count, offset)
        with self._reading:
            self.file.seek(offset)
            return self.file.read(count)

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to before `end`, a mebibyte at a time.

        Raises:
            Cancelled: the step should give up.
        """
        for offset in range(start, end, PIECE_BYTES):
            check_cancelled()
            yield self.read(offset, min(PIECE_BYTES, end - offset))

    def crc32c(self, start: int, end: int, digest: Hash | None = None) -> str:
        """CRC32C of the bytes from `start` to before `end`, as Cloud Storage writes it.

        Args:
            start, end: the range.
            digest: fed with the same bytes, to read them once only.
        """
        import google_crc32c

        crc = 0
        for piece in self.pieces(start, end):
            crc = google_crc32c.extend(crc, piece)
            if digest is not None:
                digest.update(piece)
        return b64encode(int(crc).to_bytes(4, "big")).decode()


class Range:
    """A request's body: a range of a content, which can be read from its start again.

    Having a length and no ``read``, it is sent by ``requests`` with a Content-Length and in these pieces.
    """

    def __init__(self, content: Content, start: int, end: int, told: Told) -> None:
        self._content, self._start, self._end, self._told = content, start, end, told

    def __len__(self) -> int:
        return self._end - self._start

    def __iter__(self) -> Iterator[bytes]:
        done = 0
        for piece in self._content.pieces(self._start, self._end):
            yield piece
            done += len(piece)
            self._told(done)
