"""A gzip stream whose blocks are compressed in parallel, and whose bytes don't tell by how many threads.

The input is cut into blocks of a fixed size; each is deflated by itself with the 32 KiB before it
as its dictionary, and the pieces are joined at byte boundaries, which makes one ordinary gzip member.
Level 1 of igzip: on float32 weights as small as zlib's level 9, at many times its speed.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from isal import isal_zlib

BLOCK_BYTES = 1 << 20
WINDOW_BYTES = 1 << 15
LEVEL = 1
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, unknown system (RFC 1952)
END = b"\x03\x00"  # an empty last block (RFC 1951)


class GzipStream:
    """Compresses what is written to it and hands the result to `sink`, in order.

    Leaving it by an exception writes no end, so that a broken stream can't pass for a whole one.

    Args:
        sink: takes the compressed bytes, in the caller's thread.
        threads: blocks compressed at once; about two blocks for each are in memory.
    """

    def __init__(self, sink: Callable[[bytes], object], *, threads: int) -> None:
        self._sink = sink
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gzip")
        self._most = threads + 1
        self._running: deque[Future[bytes]] = deque()
        self._block = bytearray()
        self._window = b""
        self._crc = 0
        self._size = 0

    def __enter__(self) -> Self:
        self._sink(HEADER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def write(self, data: bytes | memoryview) -> None:
        """Compress `data`, which the caller may reuse afterwards."""
        view = memoryview(data)
        while view:
            taken = view[: BLOCK_BYTES - len(self._block)]
            self._block += taken
            view = view[len(taken) :]
            if len(self._block) == BLOCK_BYTES:
                self._start()

    def _start(self) -> None:
        block = bytes(self._block)
        self._block.clear()
        self._crc = isal_zlib.crc32(block, self._crc)
        self._size += len(block)
        while len(self._running) >= self._most:
            self._sink(self._running.popleft().result())
        self._running.append(self._pool.submit(_deflate, block, self._window))
        self._window = block[-WINDOW_BYTES:]

    def _finish(self) -> None:
        if self._block:
            self._start()
        while self._running:
            self._sink(self._running.popleft().result())
        self._sink(END + struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))


def _deflate(block: bytes, window: bytes) -> bytes:
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -15, zdict=window)
    return compressor.compress(block) + compressor.flush(isal_zlib.Z_SYNC_FLUSH)
