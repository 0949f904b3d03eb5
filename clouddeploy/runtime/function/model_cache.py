"""A model's files from elsewhere, kept in a folder that appears whole or not at all.

What was verified there is used again: by a process that starts anew in the same place, and by another
that starts at the same time, which waits for the first.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from clouddeploy.runtime import manifest
from clouddeploy.runtime.errors import LoadError

_CHUNK = 2**20


def kept(cache: Path, key: str, fill: Callable[[Path], None]) -> Path:
    """The folder of `key` in `cache`, which `fill` is asked to fill where it isn't there yet.

    Args:
        cache: an existing folder that can be written to.
        key: names the content, such as its sha256.
        fill: writes the model's files, its manifest among them, into the empty folder that it gets.

    Raises:
        LoadError: what `fill` raises; or the disk is full, or can't be written to.
    """
    folder = cache / "clouddeploy-models" / key
    if (folder / manifest.NAME).is_file():
        return folder
    partial = folder.with_name(f"{key}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent):
            if (folder / manifest.NAME).is_file():
                return folder
            shutil.rmtree(partial, ignore_errors=True)  # of a process that was ended half-way
            try:
                partial.mkdir()
                fill(partial)
                partial.replace(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise _disk(error, cache) from error
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of `folder`; the system lets them in when this one ends, however it ends."""
    import fcntl  # not on each system on which this module is imported

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _disk(error: OSError, cache: Path) -> LoadError:
    if error.errno == errno.ENOSPC:
        size = shutil.disk_usage(cache).total // 2**20
        return LoadError(
            f"the model does not fit in {cache} ({size} MiB): raise the ephemeral storage, or the memory "
            "where the disk is in memory"
        )
    return LoadError(f"the model can't be written to {cache}: {error}")


class _Hashing:
    """A stream that keeps the checksum of what was read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size) if size >= 0 else self._stream.read()
        self.sha256.update(data)
        return data


def unpack(stream: IO[bytes], out: Path) -> str:
    """Unpack a ``.tar.gz`` into `out`; its sha256.

    As it comes in: a second copy would not fit in a small ``/tmp``. Nothing of it runs yet.

    Raises:
        LoadError: it is no whole archive.
    """
    source = _Hashing(stream)
    try:
        with tarfile.open(fileobj=source, mode="r|gz") as archive:  # type: ignore[call-overload]
            archive.extractall(out, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise LoadError(f"the model's archive can't be unpacked: {error}") from error
    while source.read(_CHUNK):  # the padding after the archive's end is part of the checksum
        continue
    return source.sha256.hexdigest()
