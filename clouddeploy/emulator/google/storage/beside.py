"""Work on the pieces of a stream in a thread of its own, while the next pieces arrive."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType

AHEAD = 8


class Beside:
    """Calls `work` with each piece that is given, in order; leaving the ``with`` block waits for the last.

    Args:
        work: what is done with a piece.
    """

    def __init__(self, work: Callable[[bytes], None]) -> None:
        self._work = work
        self._pieces: queue.Queue[bytes | None] = queue.Queue(AHEAD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="checksums", daemon=True)

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            if self._error is None:
                try:
                    self._work(piece)
                except Exception as error:  # noqa: BLE001 (raised again in the thread that waits)
                    self._error = error

    def give(self, piece: bytes) -> None:
        """Hand over a piece; waits while too many lie there."""
        self._pieces.put(piece)

    def __enter__(self) -> Beside:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pieces.put(None)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error
