"""The models' folders on disk: which are there, and which are complete.

A folder counts when nothing in it has changed for a while: one that is still being copied doesn't.
What changed is told by the files' inode, size and time of their last change of any kind (``ctime``), which
a copy can't carry over.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from clouddeploy.server.models.state import NAME

MANIFEST = "clouddeploy.json"
LATE_SETTLES = 10
"""Times `settle_s` after which a folder that still changes isn't waited for when the server starts."""
IGNORED = "__pycache__"
"""Written by Python itself when a version's code is imported."""
Mark = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Candidate:
    """A version's folder, complete.

    Args:
        folder: where it is.
        mark: what changes with its content.
    """

    folder: Path
    mark: Mark


Found = Mapping[str, Mapping[str, Candidate]]
"""Candidates by model and version."""


def is_model(folder: Path) -> bool:
    """Whether `folder` is one model rather than a folder of them."""
    return (folder / MANIFEST).is_file()


def mark_of(folder: Path) -> Mark:
    """What tells whether anything in `folder` was changed."""
    return tuple(sorted(_entries(folder, "", (_place(os.stat(folder)),))))


def _entries(
    folder: Path, below: str, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, int, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == IGNORED:
                continue
            found = _stat(entry)
            path = f"{below}{entry.name}"
            if stat.S_ISDIR(found.st_mode) and _place(found) not in above:
                yield from _entries(folder / entry.name, f"{path}/", (*above, _place(found)))
            else:
                yield (path, found.st_ino, found.st_size, found.st_ctime_ns)


def _place(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    """What an entry is, or the link itself where it leads nowhere."""
    try:
        return entry.stat()
    except OSError:
        if not entry.is_symlink():
            raise
        return entry.stat(follow_symlinks=False)


def places(root: Path) -> dict[tuple[str, str], Path]:
    """The folders below `root` that may be versions: ``<model>/<whole number>/``, or ``<model>/`` alone.

    Raises:
        OSError: `root` can't be read.
    """
    found: dict[tuple[str, str], Path] = {}
    for model in sorted(path for path in root.iterdir() if NAME.fullmatch(path.name) and path.is_dir()):
        if is_model(model):
            found[model.name, "1"] = model
            continue
        for version in model.iterdir():
            if version.name.isascii() and version.name.isdecimal() and is_model(version):
                found[model.name, str(int(version.name))] = version
    return found


class Folders:
    """Watches the folders of many models.

    Args:
        root: holds ``<model>/<version>/``; None for no such folder.
        settle_s: seconds without a change after which a folder is complete.
        clock: seconds.

    Attributes:
        waiting: some folder has yet to settle.
        late: why not, for those that should have long since.
    """

    def __init__(
        self, root: Path | None, settle_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root, self._settle_s, self._clock = root, settle_s, clock
        self._seen: dict[tuple[str, str], tuple[Candidate, float]] = {}
        self._settled: dict[tuple[str, str], Candidate] = {}
        self._gone: dict[tuple[str, str], float] = {}
        self._unsettled: dict[tuple[str, str], float] = {}
        self.waiting = False
        self.late: dict[tuple[str, str], str] = {}

    def scan(self, extra: Mapping[tuple[str, str], Path]) -> Found:
        """The complete folders. A change counts once it has settled; what was there counts until then.

        Args:
            extra: folders by model and version, besides those below the root.

        Raises:
            OSError: the root can't be read.
        """
        there = places(self._root) if self._root else {}
        there |= extra
        now = self._clock()
        self.waiting = False
        self.late = {}
        for key, folder in there.items():
            why = self._look(key, folder, now)
            if why:
                self._wait(key, why, now)
            else:
                self._unsettled.pop(key, None)
        for key in [key for key in self._unsettled if key not in there]:
            del self._unsettled[key]
        for key in [key for key in self._settled if key not in there]:
            if now - self._gone.setdefault(key, now) >= self._settle_s:
                del self._settled[key], self._gone[key]
            else:
                self.waiting = True
        for key in [key for key in self._seen if key not in there]:
            del self._seen[key]
        found: dict[str, dict[str, Candidate]] = {}
        for (model, version), candidate in self._settled.items():
            found.setdefault(model, {})[version] = candidate
        return found

    def _wait(self, key: tuple[str, str], why: str, now: float) -> None:
        if now - self._unsettled.setdefault(key, now) >= LATE_SETTLES * self._settle_s:
            self.late[key] = why
        else:
            self.waiting = True

    def _look(self, key: tuple[str, str], folder: Path, now: float) -> str:
        """Look at one folder; why it can't be taken as it is now, or nothing."""
        self._gone.pop(key, None)
        try:
            candidate = Candidate(folder, mark_of(folder))
        except OSError as error:
            return str(error)  # perhaps it changes under our eyes
        before = self._seen.get(key)
        if before is None or before[0] != candidate:
            age_s = time.time() - max((row[3] for row in candidate.mark), default=0) / 1e9
            since = now - max(0.0, age_s) if before is None else now
            self._seen[key] = before = (candidate, since)
        if now - before[1] >= self._settle_s:
            self._settled[key] = candidate
            return ""
        return "its files still change"
