"""Bytes named by their own hash, on their way to a registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from clouddeploy.packaging.source import opened

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Blob:
    """Content with its digest; read piece by piece, as often as sending needs it.

    Args:
        digest: ``sha256:…``.
        size: bytes.
        source: where the bytes are, or the bytes themselves.
    """

    digest: str
    size: int
    source: Path | bytes = field(repr=False)

    @classmethod
    def of_bytes(cls, content: bytes) -> Blob:
        """A blob whose content is at hand."""
        return cls(digest_of_bytes(content), len(content), content)

    def pieces(self, start: int, stop: int, told: Callable[[int], None] | None = None) -> Iterator[bytes]:
        """The bytes from `start` to before `stop`; `told` hears where the reading is."""
        with opened(self.source, self.digest) as file:
            file.seek(start)
            while start < stop and (piece := file.read(min(CHUNK_BYTES, stop - start))):
                yield piece
                start += len(piece)
                if told:
                    told(start)


def digest_of_bytes(content: bytes) -> str:
    """``sha256:…`` of `content`."""
    return f"sha256:{sha256(content).hexdigest()}"


class Progress:
    """Adds up what several blobs did, and never goes back when one of them begins anew.

    Args:
        report: told ``(done, total)`` in bytes.
        total: bytes of all blobs.
    """

    def __init__(self, report: Callable[[int, int], None] | None, total: int) -> None:
        self._report, self._total = report, total
        self._before = 0
        self._most = -1

    def at(self, offset: int) -> None:
        """The present blob is done up to `offset`."""
        done = min(self._before + offset, self._total)
        if self._report and done > self._most:
            self._most = done
            self._report(done, self._total)

    def past(self, size: int) -> None:
        """The present blob, of `size` bytes, is done."""
        self.at(size)
        self._before += size
