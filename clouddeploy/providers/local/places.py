"""Where a deployment's files lie, and how they are written: whole or not at all.

::

    <folder>/<name>/lock.json               who deploys
                    service.json            what should run
                    keeper.lock             held by the keeper as long as it lives
                    keeper.json             which process that is, and where it listens for orders
                    state.json              what runs, as the keeper tells
                    port                    the port that was found, kept between starts
                    log/service.log[.1 ..]  what the servers and the keeper log
                    releases/<release>/     release.json, served, model/
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HIDDEN = "."
"""Unfinished files and folders, and those on their way out, begin so."""


class Place:
    """One deployment's folder.

    Args:
        folder: it; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.lock = folder / "lock.json"
        self.service = folder / "service.json"
        self.keeper_lock = folder / "keeper.lock"
        self.keeper = folder / "keeper.json"
        self.state = folder / "state.json"
        self.port = folder / "port"
        self.log = folder / "log"
        self.releases = folder / "releases"

    def release(self, release: str) -> Path:
        """The folder of one release."""
        return self.releases / release

    def model(self, release: str) -> Path:
        """What a server loads."""
        return self.release(release) / "model"

    def listed(self) -> list[str]:
        """Names of the releases that are there, sorted."""
        if not self.releases.is_dir():
            return []
        return sorted(p.name for p in self.releases.iterdir() if not p.name.startswith(HIDDEN))


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in `path`; None where there is no such file, or none that was written whole."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, value: Mapping[str, Any], *, durable: bool = True) -> None:
    """Replace `path` by `value`, in one step; `durable` against a loss of power, too."""
    write_bytes(path, json.dumps(value, indent=1, sort_keys=True).encode(), durable=durable)


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace `path` by `content`, in one step."""
    handle, fresh = tempfile.mkstemp(prefix=f"{HIDDEN}{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` last over a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock of `path`."""
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let nobody else change files under `folder` meanwhile. For moments only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / f"{HIDDEN}guard").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def tidy(place: Place) -> None:
    """Take away what removed releases and killed writers left, and an empty folder of releases."""
    if not place.releases.is_dir():
        return
    for hidden in place.releases.glob(f"{HIDDEN}*"):
        if not _is_being_written(hidden):
            shutil.rmtree(hidden, ignore_errors=True)
    if not any(place.releases.iterdir()):
        place.releases.rmdir()


def _is_being_written(hidden: Path) -> bool:
    """Whether a process that lives is at work there: its number is the name's beginning."""
    number, dash, _ = hidden.name.removeprefix(HIDDEN).partition("-")
    if not dash or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
