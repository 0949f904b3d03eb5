"""One worker tries a new version first, so that one that ends its process costs one worker, once.

For each state of a version's folder there is a file in the run folder. Who loads that version holds the
file's lock, and the supervisor's number stands in it for so long. Where it stands and the lock is free, a
worker died over it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from clouddeploy.server.models.folders import Mark

FOLDER = "trials"
DONE = b"done"
Turn = Literal["ours", "later", "deadly"]
"""To be loaded now; tried by another worker just now; such that a worker died over it."""
log = logging.getLogger(__name__)


class Trials:
    """The trials of one server's workers.

    Args:
        run_folder: where the workers meet; without a name there is one worker alone.
    """

    def __init__(self, run_folder: Path) -> None:
        self._folder = run_folder / FOLDER if run_folder.name else None
        self._me = b"%d" % os.getppid()

    @contextmanager
    def turn(self, name: str, version: str, mark: Mark, attempt: int, *, first: bool) -> Iterator[Turn]:
        """Whether to load a version now; it is loaded in the block.

        Args:
            name: the model's.
            version: of it.
            mark: of its folder.
            attempt: how often somebody asked to try again.
            first: the worker serves nothing yet. All begin at once then, and none waits for another.
        """
        opened = self._opened(f"{name}/{version}/{mark}/{attempt}")
        if opened is None:
            yield "ours"
            return
        try:
            yield from self._turn(opened, first=first)
        finally:
            os.close(opened)

    def _opened(self, key: str) -> int | None:
        if self._folder is None:
            return None
        try:
            self._folder.mkdir(exist_ok=True)
            name = hashlib.sha256(key.encode()).hexdigest()[:32]
            return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.error("who tries a new version first can't be agreed upon: %s", error)
            return None

    def _turn(self, opened: int, *, first: bool) -> Iterator[Turn]:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield "ours" if first else "later"
            return
        found = os.pread(opened, 32, 0)
        if found == self._me:
            yield "deadly"
        elif first or found == DONE:
            fcntl.flock(opened, fcntl.LOCK_UN)
            yield "ours"
        else:
            yield from self._tried(opened)

    def _tried(self, opened: int) -> Iterator[Turn]:
        said = b""
        with contextlib.suppress(OSError):  # the disk is full: then nobody is warned
            os.ftruncate(opened, 0)
            os.pwrite(opened, self._me, 0)
        try:
            yield "ours"
            said = DONE
        finally:
            os.ftruncate(opened, 0)
            with contextlib.suppress(OSError):  # likewise: the next one tries it, too
                os.pwrite(opened, said, 0)
