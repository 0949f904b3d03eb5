"""The access log: a line of JSON for each request, made many at a time and written beside the event loop."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WIDTH = 8
"""Values of an answer."""
BLOCK = 512 * WIDTH
"""Values of which lines are made in one go, which takes less than a fifth of a millisecond."""
HELD_BYTES = 16 << 20
"""Bytes that may wait for a reader that is too slow; what comes on top is dropped and counted."""
STOPPING_S = 2.0
MOST_BLOCKS = 512
"""Given to the system at once; Linux takes 1024 (IOV_MAX)."""
log = logging.getLogger(__name__)


class AccessLog:
    """The lines of one worker.

    Args:
        path: file to add to; None writes to standard error.
        dropped: told how many lines were dropped.

    Attributes:
        values: of what was answered, `WIDTH` for each answer, as `Lines.of` takes them; always the same list.
    """

    def __init__(self, path: Path | None, dropped: Callable[[int], None]) -> None:
        from clouddeploy.monitoring.lines import Lines

        self.values: list[Any] = []
        self._lines, self._writer = Lines(), Writer(path, dropped)
        self._made: list[bytes] = []

    def make(self) -> None:
        """Make lines of what was answered; of so much at the most as one block has."""
        some = self.values[:BLOCK]
        del self.values[:BLOCK]
        if some:
            self._made.append(self._lines.of(some))

    def write(self) -> None:
        """Let the lines be written. Not after each block: a thread that wakes costs the loop a pause."""
        made, self._made = self._made, []
        self._writer.write(made)

    def close(self) -> None:
        """Write what there is, for `STOPPING_S` at the most."""
        while self.values:
            self.make()
        self.write()
        self._writer.close()


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

    def write(self, blocks: Sequence[bytes]) -> None:
        """Let `blocks` of whole lines be written; never waits."""
        with self._change:
            for block in blocks:
                if self._held + len(block) > HELD_BYTES:
                    self._dropped(block.count(b"\n"))
                else:
                    self._held += len(block)
                    self._waiting.append(block)
            self._change.notify()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._ending)
                if not self._waiting:
                    return
                blocks = list(self._waiting)
                self._waiting.clear()
            held = sum(map(len, blocks))
            try:
                self._write(blocks)
            except OSError as error:
                self._dropped(sum(block.count(b"\n") for block in blocks))
                log.warning("the access log can't be written: %s", error)
            with self._change:
                self._held -= held

    def _write(self, blocks: list[bytes]) -> None:
        """All blocks with as few calls as may be: after each the thread has to wait for its turn.

        Raises:
            OSError: `blocks` has what wasn't written.
        """
        while blocks:
            written = os.writev(self._descriptor, blocks[:MOST_BLOCKS])
            while blocks and written >= len(blocks[0]):
                written -= len(blocks.pop(0))
            if written:
                blocks[0] = blocks[0][written:]

    def close(self) -> None:
        """Write what waits, for `STOPPING_S` at the most."""
        with self._change:
            self._ending = True
            self._change.notify()
        self._thread.join(STOPPING_S)
        if self._own and not self._thread.is_alive():
            os.close(self._descriptor)
