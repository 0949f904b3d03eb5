"""The file in which one worker counts, mapped into memory: one writes, anyone reads at any time.

Layout, in the machine's own byte order: a header (`HEADER`), a table of `SERIES` entries of `ENTRY_BYTES`
that name what the numbers mean, then `CELLS` numbers of eight bytes. An entry is a CRC-32 and a length
(four bytes each), then JSON: ``[family, [label values], first cell]``. The entry is written before the
header's count tells of it, and a reader checks its CRC, so that a half-written one is never taken. Numbers
are eight bytes at addresses divisible by eight, which every processor that Python runs on writes at once.

The owner holds a lock on the file for as long as it lives; the next worker takes over the file of a dead
one and counts on, so that no count is ever lost or goes back, and files don't pile up.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEADER = struct.Struct("=8sqqdqqq")
"""Magic, process id, worker's number, start (seconds since 1970), used entries, their limit, used cells."""
MAGIC = b"CDmetr01"
COUNT_AT, CELLS_AT = 32, 48
HEADER_BYTES = 64
ENTRY_BYTES = 448
SERIES = 2048
CELLS = 1 << 17
SIZE = HEADER_BYTES + SERIES * ENTRY_BYTES + CELLS * 8
ENTRY = struct.Struct("=II")
SUFFIX = ".counts"


@dataclass(frozen=True, slots=True)
class Entry:
    """One series.

    Args:
        family: its metric's name.
        labels: their values.
        at: its first cell.
    """

    family: str
    labels: tuple[str, ...]
    at: int


class Full(Exception):
    """The file has no room for another series."""


class Cells:
    """The file of this worker.

    Args:
        folder: where the files of all workers of a server lie; None counts in memory alone.
        worker: this one's number.

    Attributes:
        numbers: all cells, writable, as a view of eight-byte floats.
        entries: the series there are.
    """

    def __init__(self, folder: Path | None, worker: int = 0) -> None:
        self._descriptor = -1 if folder is None else _take(folder)
        self._map = mmap.mmap(self._descriptor, SIZE)
        view = memoryview(self._map)
        self._view = view
        self.numbers = view[HEADER_BYTES + SERIES * ENTRY_BYTES :].cast("d")
        self.entries: list[Entry] = _entries(view) if view[:8] == MAGIC else []
        self._used = max(struct.unpack_from("=q", view, CELLS_AT)[0], 0)
        HEADER.pack_into(
            view, 0, MAGIC, os.getpid(), worker, time.time(), len(self.entries), SERIES, self._used
        )

    def add(self, family: str, labels: tuple[str, ...], cells: int) -> Entry:
        """A new series with `cells` numbers, all 0.

        Raises:
            Full: there is no room for it.
        """
        at, count = self._used, len(self.entries)
        text = json.dumps([family, list(labels), at], separators=(",", ":")).encode()
        if count >= SERIES or at + cells > CELLS or len(text) > ENTRY_BYTES - ENTRY.size:
            raise Full(family)
        place = HEADER_BYTES + count * ENTRY_BYTES
        self._view[place + ENTRY.size : place + ENTRY.size + len(text)] = text
        ENTRY.pack_into(self._view, place, zlib.crc32(text), len(text))
        self._used += cells
        struct.pack_into("=q", self._view, CELLS_AT, self._used)
        struct.pack_into("=q", self._view, COUNT_AT, count + 1)
        entry = Entry(family, labels, at)
        self.entries.append(entry)
        return entry

    def close(self) -> None:
        """Give the file up; another worker may take it over."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _take(folder: Path) -> int:
    """A locked descriptor of a dead worker's file, or of a new one of full size."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        if _locked(descriptor, fcntl.LOCK_EX) and os.fstat(descriptor).st_size == SIZE:
            return descriptor
        os.close(descriptor)
    # Made under a name that no reader looks for, so that it is whole and locked when one finds it.
    name = f"{os.getpid()}-{time.time_ns():x}"
    draft = folder / f"{name}.draft"
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # A hole in a mapped file would end the process when the disk is full.
        os.posix_fallocate(descriptor, 0, SIZE)
        _locked(descriptor, fcntl.LOCK_EX)
        draft.rename(folder / f"{name}{SUFFIX}")
    except OSError:
        os.close(descriptor)
        draft.unlink(missing_ok=True)
        raise
    return descriptor


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _entries(view: memoryview | mmap.mmap) -> list[Entry]:
    count = min(struct.unpack_from("=q", view, COUNT_AT)[0], SERIES)
    found = []
    for number in range(count):
        place = HEADER_BYTES + number * ENTRY_BYTES
        crc, length = ENTRY.unpack_from(view, place)
        text = bytes(view[place + ENTRY.size : place + ENTRY.size + min(length, ENTRY_BYTES)])
        if zlib.crc32(text) != crc:
            break
        family, labels, at = json.loads(text)
        found.append(Entry(family, tuple(labels), at))
    return found


class Reading:
    """A file of another worker, or one's own, to be read again and again.

    Args:
        path: of the file.

    Attributes:
        entries: the series that were there at the last `refresh`.
        numbers: all cells, as a view that is always current.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(descriptor, SIZE, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
        self.numbers: Any = memoryview(self._map)[HEADER_BYTES + SERIES * ENTRY_BYTES :].cast("d")
        self.entries: list[Entry] = []
        self.process, self.worker, self.started, self.alive = 0, 0, 0.0, False

    def refresh(self) -> None:
        """Look for new series, and whether the owner lives."""
        magic, self.process, self.worker, self.started, count, *_ = HEADER.unpack_from(self._map, 0)
        if magic == MAGIC and count != len(self.entries):
            self.entries = _entries(self._map)
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.alive = not _locked(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)
