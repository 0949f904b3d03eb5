"""moto's S3, read from inside: no signing, no HTTP, no copy of a large object in memory."""

from __future__ import annotations

import shutil
from typing import Any, BinaryIO

from clouddeploy.emulator.settings import ACCOUNT


class Buckets:
    """The objects in the emulated S3 (see `clouddeploy.emulator.plane.artifact.Objects`)."""

    def _bucket(self, name: str) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[ACCOUNT]["aws"].buckets.get(name)

    def exists(self, bucket: str) -> bool:
        """Whether there is such a bucket."""
        return self._bucket(bucket) is not None

    def list(self, bucket: str, prefix: str) -> list[tuple[str, str, int]]:
        """Key, entity tag and size of each object whose key starts with `prefix`, sorted by key."""
        found = self._bucket(bucket)
        if found is None:
            return []
        objects = [(key, found.keys.get(key)) for key in list(found.keys) if key.startswith(prefix)]
        return sorted((k, str(o.etag), int(o.contentsize)) for k, o in objects if hasattr(o, "contentsize"))

    def copy(self, bucket: str, key: str, to: BinaryIO) -> None:
        """Write an object's bytes to `to`."""
        found = self._bucket(bucket).keys[key]
        with found.lock:
            buffer: Any = found._value_buffer
            buffer.seek(0)
            shutil.copyfileobj(buffer, to, 1 << 20)
