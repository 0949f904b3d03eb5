"""Writes the uncompressed form: a folder of plain files, at about the speed of a copy."""

from __future__ import annotations

import errno
import os
import queue
import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Self

from clouddeploy.errors import SpecError
from clouddeploy.packaging.artifact import Member, Report, onward
from clouddeploy.packaging.source import changed, opened, stamp_of

STRIDE_BYTES = 8 << 20
CHUNK_BYTES = 1 << 20
CANT_COPY = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.EPERM})


def write_folder(members: Sequence[Member], out: Path, *, report: Report) -> Path:
    """Write `members` as files under the new folder `out`.

    Raises:
        ModelChanged, ModelError, SpecError: see `Artifact.write`.
    """
    from clouddeploy.packaging.target import appearing

    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise SpecError(
            f"{str(out)!r} is there already",
            why="the uncompressed form is a folder, and nothing in an existing one is overwritten",
            fix="name a new folder, or remove that one first",
        )
    total = sum(m.size for m in members)
    done = 0
    with appearing(out, needed=total, at_least=total) as hidden:
        hidden.mkdir()
        hidden.chmod(0o755)
        for member in members:
            path = hidden / member.name
            for parent in reversed(path.relative_to(hidden).parents[:-1]):
                _make(hidden / parent)
            with opened(member.source, member.name) as source:
                _copy_checked(member, source, path, onward(report, done, total))
            path.chmod(member.mode)
            done += member.size
    return out


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir()
        folder.chmod(0o755)


def _copy_checked(member: Member, source: BinaryIO, path: Path, report: Callable[[int], None]) -> None:
    """Copy, and make sure that what was copied is what the model was made with.

    A file that still carries the stamp of when it was hashed isn't hashed again; any other is
    hashed while it is copied, from the copy, by a second thread.
    """
    with open(path, "xb", buffering=0) as target:
        if isinstance(member.source, bytes):
            target.write(member.source)
            return report(member.size)
        if _is_stamped(member, source):
            _copy(source, target, member.size, report)
            if _is_stamped(member, source):
                return None
            source.seek(0)
            target.seek(0)
        with Follower(path, report) as follower:
            size = _copy(source, target, member.size, follower.reach)
        grown = os.fstat(source.fileno()).st_size != member.size
        if grown or size != member.size or follower.hexdigest() != member.sha256:
            raise changed(member.name, member.sha256, member.source)
    return None


def _is_stamped(member: Member, source: BinaryIO) -> bool:
    return member.stamp is not None and stamp_of(source.fileno()) == member.stamp


def _copy(source: BinaryIO, target: BinaryIO, size: int, report: Callable[[int], None]) -> int:
    """Copy up to `size` bytes, inside the kernel where it can; returns how many there were."""
    done = 0
    while done < size:
        try:
            count = os.copy_file_range(source.fileno(), target.fileno(), min(STRIDE_BYTES, size - done))
        except (OSError, AttributeError) as error:
            if done or (isinstance(error, OSError) and error.errno not in CANT_COPY):
                raise
            return _copy_through(source, target, size, report)
        if not count:
            break
        done += count
        report(done)
    return done


def _copy_through(source: BinaryIO, target: BinaryIO, size: int, report: Callable[[int], None]) -> int:
    """The same by reading and writing, for file systems and kernels that can't copy by themselves."""
    done = 0
    while done < size and (chunk := source.read(min(CHUNK_BYTES, size - done))):
        view = memoryview(chunk)
        while view:
            view = view[target.write(view) :]
        done += len(chunk)
        report(done)
    return done


class Follower:
    """Hashes a file in a thread of its own while another writes it."""

    def __init__(self, path: Path, report: Callable[[int], None]) -> None:
        self._path, self._report = path, report
        self._digest = sha256()
        self._reached: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._reached.put(None)
        self._thread.join()

    def reach(self, offset: int) -> None:
        """Tell that the bytes before `offset` are written."""
        self._reached.put(offset)
        self._report(offset)

    def hexdigest(self) -> str:
        """The hash of what was written; after leaving."""
        if self._error:
            raise self._error
        return self._digest.hexdigest()

    def _run(self) -> None:
        try:
            with open(self._path, "rb", buffering=0) as file:
                buffer = memoryview(bytearray(CHUNK_BYTES))
                at = 0
                while (end := self._reached.get()) is not None:
                    while at < end and (count := file.readinto(buffer[: end - at])):
                        self._digest.update(buffer[:count])
                        at += count
        except OSError as error:
            self._error = error
