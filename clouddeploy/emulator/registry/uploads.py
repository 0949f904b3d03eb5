"""Blobs on their way in: one file each until its digest is told."""

from __future__ import annotations

import shutil
import threading
import uuid
from hashlib import sha256
from pathlib import Path

from clouddeploy.emulator.registry.refusals import RegistryRefused

CHUNK_BYTES = 1 << 20


class Uploads:
    """The unfinished uploads of all repositories.

    Args:
        folder: where their files are; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, str] = {}
        self._lock = threading.RLock()

    def begin(self, name: str) -> str:
        """Begin an upload to the repository `name`; its identity."""
        identity = str(uuid.uuid4())
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path(identity).touch()
            self._open[identity] = name
        return identity

    def size(self, name: str, identity: str) -> int:
        """Bytes that have come so far.

        Raises:
            RegistryRefused: there is no such upload.
        """
        return self._file(name, identity).stat().st_size

    def append(self, name: str, identity: str, content: bytes, start: int | None = None) -> int:
        """Add bytes, which begin at `start` of the blob; how many there are then.

        Raises:
            RegistryRefused: there is no such upload, or they don't follow what is there.
        """
        with self._lock:
            held = self.size(name, identity)
            if start is not None and start != held:
                where = (("Range", f"0-{max(0, held - 1)}"),)
                raise RegistryRefused("BLOB_UPLOAD_INVALID", f"the next byte is number {held}", where)
            with self._file(name, identity).open("ab") as file:
                file.write(content)
            return held + len(content)

    def finish(self, name: str, identity: str, digest: str) -> Path:
        """The file of a complete upload, which is the caller's from now on.

        Raises:
            RegistryRefused: there is no such upload, or its bytes have another digest.
        """
        with self._lock:
            file = self._file(name, identity)
            if digest != _digest(file):
                raise RegistryRefused("DIGEST_INVALID", "provided digest did not match uploaded content")
            del self._open[identity]
            return file

    def cancel(self, name: str, identity: str) -> None:
        """Forget an upload.

        Raises:
            RegistryRefused: there is none.
        """
        with self._lock:
            self._file(name, identity).unlink()
            del self._open[identity]

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._open.clear()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, identity: str) -> Path:
        return self._folder / identity

    def _file(self, name: str, identity: str) -> Path:
        if self._open.get(identity) != name:
            raise RegistryRefused("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return self._path(identity)


def _digest(file: Path) -> str:
    found = sha256()
    with file.open("rb") as stream:
        while piece := stream.read(CHUNK_BYTES):
            found.update(piece)
    return f"sha256:{found.hexdigest()}"
