"""Sends an artifact's bytes to Cloud Storage, and takes them away again.

The object's name names the content, so that what is there under it is right; whoever uses it does so by
the generation that sending answers with, which nobody can write over::

    generation = send_written(gcp, bucket, key, artifact, report=report)   # packs, then sends
    generation = send_member(gcp, bucket, key, member, report=report)      # a file as it lies there
    remove(gcp, bucket, prefix)                                            # all that lies below
"""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from clouddeploy.engine.waiting import check_cancelled
from clouddeploy.packaging.artifact import Member, Report
from clouddeploy.packaging.source import changed, opened, stamp_of
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.composite import compose, remove_parts, send_parts
from clouddeploy.providers.gcp.content import Content, Hash
from clouddeploy.providers.gcp.faults import MISSING
from clouddeploy.providers.gcp.resumable import Piece, Target, send
from clouddeploy.providers.gcp.survey import Found, listing

PARALLEL_BYTES: Final = 1 << 30
"""From here on an object is sent in parts at once, which costs as many more requests and a composition."""
THREADS: Final = 4


class Written(Protocol):
    """An artifact that is one file."""

    @property
    def digest(self) -> str:
        """Hash of what it holds; known before it is written."""

    def write(self, out: Path, *, report: Report | None = None) -> Path:
        """Write the file to `out`."""


def find(gcp: Gcp, bucket: str, key: str) -> Found | None:
    """The object, or None when it or the bucket is missing."""
    found = gcp.find("storage", "GetObject", MISSING, bucket=bucket, object=key)
    if found is None:
        return None
    return Found(str(found["generation"]), int(found["size"]), found.get("crc32c", ""))


def send_written(
    gcp: Gcp,
    bucket: str,
    key: str,
    artifact: Written,
    *,
    report: Report | None = None,
    building: Report | None = None,
    threads: int = THREADS,
) -> str:
    """Write `artifact` and send it as the object `key`.

    Args:
        gcp: the seam.
        bucket: an existing bucket.
        key: the object's name, which names the content.
        artifact: what to write.
        report: told ``(done, total)`` in bytes sent.
        building: told ``(done, total)`` in bytes packed, before anything is sent.
        threads: parts of a large object that are sent at once.

    Returns:
        The object's generation.

    Raises:
        CloudError: Cloud Storage refused.
    """
    folder = tempfile.TemporaryDirectory(prefix="clouddeploy-")
    with folder as place:
        path = artifact.write(Path(place) / key.rpartition("/")[2], report=_cancellable(building))
        with open(path, "rb", buffering=0) as file:
            if os.name == "posix":
                folder.cleanup()  # the open file lasts, and a process killed while sending leaves nothing
            return _send(Target(gcp, bucket, key), _content(file), report, threads, _Unchecked())


def send_member(
    gcp: Gcp,
    bucket: str,
    key: str,
    member: Member,
    *,
    report: Report | None = None,
    threads: int = THREADS,
) -> str:
    """Send a file as it lies on the disk; arguments and result as for `send_written`.

    Raises:
        ModelChanged: its bytes aren't those of `member.sha256`. Nothing is left then.
        CloudError: Cloud Storage refused.
    """
    with ExitStack() as stack:
        if isinstance(member.source, bytes):
            file: BinaryIO = stack.enter_context(tempfile.TemporaryFile(prefix="clouddeploy-"))
            file.write(member.source)
            file.flush()
        else:
            file = stack.enter_context(opened(member.source, member.name))
        return _send(Target(gcp, bucket, key), _content(file), report, threads, _Checked(member, file))


def remove(gcp: Gcp, bucket: str, prefix: str) -> None:
    """Delete every object under `prefix`. Nothing there is success."""
    for name in sorted(listing(gcp, bucket, prefix) or {}):
        gcp.find("storage", "DeleteObject", MISSING, bucket=bucket, object=name)


class _Unchecked:
    """Of an artifact that was written just now."""

    hash: Hash | None = None

    def check(self) -> None:
        """Nothing is known that it could differ from."""


class _Checked:
    """Of a file that may have been changed since the model was made: by its stamp, else by its sha256."""

    def __init__(self, member: Member, file: BinaryIO) -> None:
        self._member, self._file = member, file
        self._found = sha256()
        self._stamped = self._has_stamp()
        self.hash: Hash | None = None if self._stamped else self._found

    def check(self) -> None:
        """Compare, once all has been read.

        Raises:
            ModelChanged: it isn't what it was.
        """
        same = self._has_stamp() if self._stamped else self._found.hexdigest() == self._member.sha256
        if not same:
            raise changed(self._member.name, self._member.sha256, self._member.source)

    def _has_stamp(self) -> bool:
        return self._member.stamp is not None and stamp_of(self._file.fileno()) == self._member.stamp


def _send(
    target: Target, content: Content, report: Report | None, threads: int, checked: _Checked | _Unchecked
) -> str:
    progress = _Progress(report, content.size)
    if content.size <= PARALLEL_BYTES:
        crc32c = content.crc32c(0, content.size, checked.hash)
        checked.check()
        return send(target, Piece(content, 0, content.size, crc32c), lambda done: progress.at(0, done))
    parts = send_parts(target, content, progress.at, threads=threads, digest=checked.hash)
    try:
        checked.check()
        return compose(target, parts, content.size)
    finally:
        remove_parts(target.gcp, target.bucket, parts)


class _Progress:
    """Adds up how far several parts are, and tells it one at a time."""

    def __init__(self, report: Report | None, total: int) -> None:
        self._report, self._total = report, total
        self._done: dict[int, int] = {}
        self._lock = threading.Lock()

    def at(self, part: int, done: int) -> None:
        """So many bytes of `part` are sent."""
        with self._lock:
            self._done[part] = done
            if self._report:
                self._report(sum(self._done.values()), self._total)


def _content(file: BinaryIO) -> Content:
    return Content(file, os.fstat(file.fileno()).st_size)


def _cancellable(building: Report | None) -> Report:
    """Packing waits for nothing, so it looks by itself whether the deploy was interrupted."""

    def told(done: int, total: int) -> None:
        check_cancelled()
        if building:
            building(done, total)

    return told
