"""Where an artifact is written: whole or not at all, and with a clear word when the disk is full."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clouddeploy.errors import ModelError, SpecError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def appearing(out: Path, *, needed: int, at_least: int) -> Iterator[Path]:
    """A place beside `out` that becomes `out` when the block ends well, and vanishes otherwise.

    Args:
        out: the file or folder to be.
        needed: bytes that the content may take, for the error message.
        at_least: bytes that it takes in any case; less free space is refused beforehand.

    Raises:
        SpecError: `out`'s folder doesn't exist, or can't be written to.
        ModelError: the disk is full.
    """
    folder = out.absolute().parent
    try:
        hidden = Path(tempfile.mkdtemp(prefix=".clouddeploy-", suffix=".partial", dir=folder))
    except OSError as error:
        raise (disk_full(out, needed) if error.errno in FULL else _no_place(out, error)) from error
    try:
        if shutil.disk_usage(hidden).free < at_least:
            raise disk_full(out, needed)
        yield hidden / "content"
        os.replace(hidden / "content", out)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(out, needed) from error
        raise _no_place(out, error) from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def disk_full(out: Path, needed: int) -> ModelError:
    """The error for a disk, a quota or a file size limit that doesn't take the artifact."""
    free = shutil.disk_usage(out.absolute().parent).free
    return ModelError(
        f"no room to write {str(out)!r}: up to {needed:,} bytes are needed, {free:,} bytes are free",
        why="the disk, your quota on it or the limit on file sizes is exhausted; nothing was left behind",
        fix="free some space, or write it elsewhere (the environment variable TMPDIR moves temporary files)",
    )


def _no_place(out: Path, error: OSError) -> SpecError:
    return SpecError(
        f"can't write {str(out)!r}",
        why=f"{error.strerror or error}" + (f": {error.filename!r}" if error.filename else ""),
        fix="name a file or folder whose parent folder exists and can be written to",
    )
