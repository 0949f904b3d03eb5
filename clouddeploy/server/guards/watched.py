"""A file whose content is read again when it changes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from clouddeploy.errors import SpecError

EVERY_S = 1.0
Content = TypeVar("Content")
Mark = tuple[int, int, int] | None
log = logging.getLogger(__name__)


def mark_of(path: Path) -> Mark:
    """What differs when the file was changed or replaced; None when it can't be read."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Watched(Generic[Content]):
    """What a file holds. A change that can't be read is told in the log, and what was known stays.

    Args:
        path: of the file.
        read: reads it; raises `SpecError` or `OSError` for one that is no good.
        clock: seconds.

    Raises:
        SpecError: it can't be read now.
    """

    def __init__(
        self, path: Path, read: Callable[[Path], Content], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._read, self._clock = path, read, clock
        self._mark = mark_of(path)
        self._looked = clock()
        try:
            self._content = read(path)
        except OSError as error:
            raise SpecError(
                f"the file {str(path)!r} can't be read", why=str(error.strerror or error), fix="name another"
            ) from error

    @property
    def content(self) -> Content:
        """What the file holds, as of a second ago."""
        now = self._clock()
        if now - self._looked >= EVERY_S:
            self._looked = now
            self._look()
        return self._content

    def _look(self) -> None:
        mark = mark_of(self._path)
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._content = self._read(self._path)
        except (SpecError, OSError) as error:
            log.error("%s was changed and can't be used, so what it held stays: %s", self._path, error)
        else:
            log.info("%s was changed and is read again", self._path)
