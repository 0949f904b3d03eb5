"""Opening what a member is made of, and telling when it is no longer what it was."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from clouddeploy.errors import ModelChanged, ModelError
from clouddeploy.packaging.artifact import Stamp

CHUNK_BYTES = 1 << 20


@contextmanager
def opened(source: Path | bytes, name: str) -> Iterator[BinaryIO]:
    """The bytes of `source`, unbuffered; `name` is what messages call it.

    Raises:
        ModelError: it is gone, can't be read, or is no regular file (a pipe would hang, a device
            has no end).
    """
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to must not wait
        descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise ModelError(
            f"the model's file {name!r} can't be read",
            why=str(error),
            fix="make the model again from files that are there and readable",
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ModelError(
            f"the model's file {name!r} is no regular file",
            why="pipes, devices and folders can't be packed",
            fix="put a regular file in its place",
        )
    with open(descriptor, "rb", buffering=0) as file:
        yield file


def stamp_of(descriptor: int) -> Stamp:
    """The stamp of an open file; whoever writes to the file changes it."""
    s = os.fstat(descriptor)
    return (s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns)


def hashed(path: Path, name: str) -> tuple[int, str]:
    """Size and sha256 of a file; `name` is what messages call it.

    Raises:
        ModelError: it is gone, can't be read, or is no regular file.
    """
    digest = sha256()
    size = 0
    with opened(path, name) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def changed(name: str, expected: str, source: Path | bytes) -> ModelChanged:
    """The error for a file whose bytes were not those that the model was made with; hashes it anew."""
    digest = sha256()
    with opened(source, name) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    now = digest.hexdigest()
    return ModelChanged(
        f"the model's file {name!r} changed since the model was made",
        why=f"its sha256 was {expected} and is now {now}"
        + (": it was being written while it was read" if now == expected else ""),
        fix="make the model again, and plan again",
    )
