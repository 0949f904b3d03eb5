"""Buckets in memory, objects' bytes in files of one folder."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from clouddeploy.emulator.google.storage.answers import Refusal, denied, no_bucket, no_object
from clouddeploy.emulator.google.storage.conditions import Conditions
from clouddeploy.emulator.google.storage.records import Bucket, Object

NOTHING = (0, 0, "")
UNCONDITIONAL = Conditions({}, {})


class Store:
    """All buckets, whose names are unique among all users of the system.

    Args:
        folder: where the bytes are kept; made when it is needed.
        taken: the names that somebody else's buckets have.
    """

    def __init__(self, folder: Path, taken: Callable[[], Collection[str]]) -> None:
        self.lock = threading.RLock()
        self.buckets: dict[str, Bucket] = {}
        self._folder, self._taken = folder, taken
        self._numbers = itertools.count()
        self._last_generation = 0

    def new_file(self) -> Path:
        """A path for the bytes of one upload."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{os.getpid()}-{next(self._numbers)}"

    def create(self, name: str, project: str, given: dict[str, Any]) -> Bucket:
        """A new bucket.

        Raises:
            Refusal: 409, the name is taken, by its own project or by somebody else.
        """
        with self.lock:
            found = self.buckets.get(name)
            if found is not None and found.project == project:
                message = "Your previous request to create the named bucket succeeded and you already own it."
                raise Refusal(409, message, reason="conflict", code="BucketAlreadyOwnedByYou")
            if found is not None or name in self._taken():
                message = (
                    "The requested bucket name is not available. The bucket namespace is shared by all users "
                    "of the system. Please select a different name and try again."
                )
                raise Refusal(409, message, reason="conflict")
            made = self.buckets[name] = Bucket(name, project, given)
            return made

    def bucket(self, name: str, permission: str = "storage.buckets.get") -> Bucket:
        """An existing bucket.

        Raises:
            Refusal: 404, there is none; 403, it is somebody else's.
        """
        found = self.buckets.get(name)
        if found is None:
            raise denied(permission) if name in self._taken() else no_bucket()
        return found

    def find(self, bucket: str, name: str, generation: int | None = None, permission: str = "") -> Object:
        """The live generation of an object; only that one, when one is asked for.

        Raises:
            Refusal: 404 or 403.
        """
        found = self.bucket(bucket, permission or "storage.objects.get").objects.get(name)
        if found is None or generation not in (None, found.generation):
            raise no_object(bucket, name)
        return found

    def open(self, found: Object) -> BinaryIO:
        """The bytes of an object.

        Raises:
            Refusal: 404, it was overwritten or deleted meanwhile.
        """
        try:
            return found.path.open("rb")
        except FileNotFoundError:
            raise no_object(found.bucket, found.name) from None

    def check(self, bucket: str, name: str, conditions: Conditions) -> None:
        """Compare preconditions with what is there, before a long upload.

        Raises:
            Refusal: 404, 403 or 412.
        """
        found = self.bucket(bucket, "storage.objects.create").objects.get(name)
        conditions.check(*(_figures(found)))

    def commit(
        self,
        bucket: str,
        name: str,
        path: Path,
        *,
        size: int,
        crc32c: str,
        md5: str,
        given: Mapping[str, Any],
        conditions: Conditions = UNCONDITIONAL,
        components: int = 0,
    ) -> Object:
        """Make a file the new live generation of an object; it is removed when that is refused.

        Raises:
            Refusal: 404, the bucket is gone; 412, a precondition doesn't hold.
        """
        try:
            with self.lock:
                holder = self.bucket(bucket, "storage.objects.create")
                old = holder.objects.get(name)
                conditions.check(*_figures(old))
                self._last_generation = max(int(time.time() * 1e6), self._last_generation + 1)
                made = Object(
                    bucket, name, path, size, crc32c, md5, self._last_generation, given, components=components
                )
                holder.objects[name] = made
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if old is not None:
            old.path.unlink(missing_ok=True)
        return made

    def replace(self, old: Object, new: Object) -> None:
        """Put changed metadata in place of `old`, which must still be the live generation."""
        with self.lock:
            if self.find(old.bucket, old.name) is not old:
                raise Refusal(412, "At least one of the pre-conditions you specified did not hold.")
            self.buckets[old.bucket].objects[old.name] = new

    def delete(self, bucket: str, name: str, generation: int | None, conditions: Conditions) -> None:
        """Delete an object.

        Raises:
            Refusal: 404, 403 or 412.
        """
        with self.lock:
            found = self.find(bucket, name, generation, "storage.objects.delete")
            conditions.check(*_figures(found))
            del self.buckets[bucket].objects[name]
        found.path.unlink(missing_ok=True)

    def delete_bucket(self, name: str, conditions: Conditions) -> None:
        """Delete an empty bucket.

        Raises:
            Refusal: 404, 403 or 412; 409, it isn't empty.
        """
        with self.lock:
            found = self.bucket(name, "storage.buckets.delete")
            conditions.check(0, found.metageneration, found.etag)
            if found.objects:
                message = "The bucket you tried to delete is not empty."
                raise Refusal(409, message, reason="conflict", code="BucketNotEmpty")
            del self.buckets[name]

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            gone = [o for bucket in self.buckets.values() for o in bucket.objects.values()]
            self.buckets.clear()
        for one in gone:
            one.path.unlink(missing_ok=True)


def _figures(found: Object | None) -> tuple[int, int, str]:
    return NOTHING if found is None else (found.generation, found.metageneration, found.etag)


def append(source: BinaryIO, target: BinaryIO, size: int) -> None:
    """Copy a file's bytes behind another's, neither of them buffered, in the system where that can be."""
    if not hasattr(os, "copy_file_range"):
        shutil.copyfileobj(source, target, 1 << 20)
        return
    while size > 0:
        copied = os.copy_file_range(source.fileno(), target.fileno(), size)
        if not copied:
            raise OSError("a part of an upload is shorter than it was")
        size -= copied
