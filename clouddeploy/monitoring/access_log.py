"""The access log: a line of JSON for each request, made many at a time and written beside the event loop."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Record = tuple[float, float, str, int, int, int, str, Any]
"""`time.perf_counter` at its end, seconds, id, examples, bytes in, bytes out, client, `Lines.end`."""
HELD_BYTES = 16 << 20
"""Bytes that may wait for a reader that is too slow; what comes on top is dropped and counted."""
STOPPING_S = 2.0
log = logging.getLogger(__name__)


class Lines:
    """Makes lines of records."""

    def __init__(self) -> None:
        import msgspec

        self._line: Any = msgspec.defstruct(
            "Line",
            [
                *(("time", str), ("id", str), ("ms", float), ("batch", int)),
                *(("bytes_in", int), ("bytes_out", int), ("client", str), ("method", msgspec.Raw)),
            ],
            gc=False,
        )
        self.end: Callable[[bytes], Any] = msgspec.Raw
        self._write: Callable[[Iterable[Any]], bytes] = msgspec.json.Encoder().encode_lines
        self._offset = time.time() - time.perf_counter()
        self._second, self._prefix = -1, ""

    def of(self, records: Sequence[Record]) -> bytes:
        """`records` as lines."""
        import numpy as np

        ends, took, ids, batches, sizes_in, sizes_out, clients, rests = zip(*records, strict=True)
        ms = np.round(np.array(took) * 1000, 3).tolist()
        self._offset = time.time() - time.perf_counter()  # clocks are set
        stamps = ((np.array(ends) + self._offset) * 1000).astype(np.int64).tolist()
        times = {stamp: self._time(stamp) for stamp in set(stamps)}
        columns = (map(times.__getitem__, stamps), ids, ms, batches, sizes_in, sizes_out, clients, rests)
        return self._write(list(map(self._line, *columns)))

    def _time(self, stamp: int) -> str:
        """Milliseconds since 1970 as RFC 3339 writes them."""
        second, rest = divmod(stamp, 1000)
        if second != self._second:
            self._second, self._prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._prefix}.{rest:03d}Z"


def rest(method: str, route: str, path: str, status: int, more: dict[str, Any]) -> bytes:
    """The end of a line, from the method on.

    Args:
        method: of the request.
        route: the pattern that answered; empty when none did, and `path` is told instead.
        path: of the request.
        status: of the response.
        more: what else is known.
    """
    where = {"route": route} if route else {"path": path[:200]}
    known = {**where, "status": status, **more}
    members = json.dumps(known, separators=(",", ":"), default=str)
    return f"{json.dumps(method)},{members[1:-1]}".encode()


class Writer:
    """Writes bytes to a descriptor in a thread of its own.

    Args:
        path: file to add to; None writes to standard error.
        dropped: told how many lines were dropped.
    """

    def __init__(self, path: Path | None, dropped: Callable[[int], None]) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = 2 if path is None else os.open(path, flags, 0o640)
        self._own = path is not None
        self._dropped = dropped
        self._waiting: deque[bytes] = deque()
        self._held = 0
        self._change = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="clouddeploy-access-log", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Let `data`, whole lines, be written; never waits."""
        with self._change:
            if self._held + len(data) > HELD_BYTES:
                self._dropped(data.count(b"\n"))
                return
            self._held += len(data)
            self._waiting.append(data)
            self._change.notify()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._ending)
                if not self._waiting:
                    return
                data = b"".join(self._waiting)
                self._waiting.clear()
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError as error:
                self._dropped(data.count(b"\n"))
                log.warning("the access log can't be written: %s", error)
            with self._change:
                self._held -= len(data)

    def close(self) -> None:
        """Write what waits, for `STOPPING_S` at the most."""
        with self._change:
            self._ending = True
            self._change.notify()
        self._thread.join(STOPPING_S)
        if self._own and not self._thread.is_alive():
            os.close(self._descriptor)
