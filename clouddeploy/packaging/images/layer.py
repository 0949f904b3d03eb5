"""A layer of an image: files under one folder, as a tar that holds nothing of the machine that made it.

Source: OCI Image Specification, "Image Layer Filesystem Changeset".
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from clouddeploy.errors import SpecError
from clouddeploy.packaging import tar
from clouddeploy.packaging.artifact import Artifact, Member, check_member_name
from clouddeploy.packaging.images.blob import CHUNK_BYTES, Progress
from clouddeploy.packaging.source import changed, opened

WHITEOUT = ".wh."
SYSTEM = ("/", "/dev", "/proc", "/run", "/sys", "/tmp", "/var/run", "/var/tmp")
FOLDER_MODE = 0o755


@dataclass(frozen=True)
class Layer:
    """Files that an image gets.

    Args:
        content: the files, by their names under `root`.
        root: absolute folder in the image; it belongs to the layer, its parents don't.
        what: word for the image's history, such as ``"model"``.

    Raises:
        SpecError: `root` is relative, climbs, or is the system's.
        ModelError: a name would delete something instead.
    """

    content: Artifact = field(repr=False)
    root: str
    what: str

    @classmethod
    def of(cls, members: Iterable[Member], *, root: str, what: str) -> Layer:
        """A layer of `members`.

        Raises:
            ModelError: two members clash, or a name can't be unpacked.
            SpecError: see the class.
        """
        return cls(Artifact("gzip", tuple(members)), root, what)

    def __post_init__(self) -> None:
        _check_root(self.root)
        for member in self.content.members:
            _check_whiteout(member.name)

    @property
    def size(self) -> int:
        """Bytes of its files, uncompressed."""
        return self.content.size

    @property
    def length(self) -> int:
        """Bytes of its tar."""
        files = sum(tar.length(self._path(m.name), m.size, m.mode) for m in self.content.members)
        return files + sum(tar.length(name, 0, FOLDER_MODE) for name in self._folders()) + len(tar.END)

    def _path(self, name: str) -> str:
        return f"{self.root[1:]}/{name}"

    def _folders(self) -> list[str]:
        inner = {m.name[:i] for m in self.content.members for i, c in enumerate(m.name) if c == "/"}
        return [self.root[1:], *sorted(map(self._path, inner))]

    def blocks(self, progress: Progress) -> Iterator[bytes | memoryview]:
        """The tar's bytes, folders first; each block is valid until the next.

        Raises:
            ModelChanged: a file isn't what it was when it was hashed.
            ModelError: a file can't be read.
        """
        for name in self._folders():
            yield tar.header(name, 0, FOLDER_MODE, tar.DIRECTORY)
        for member in self.content.members:
            yield tar.header(self._path(member.name), member.size, member.mode)
            yield from _checked(member, progress)
            yield tar.padding(member.size)
            progress.past(member.size)
        yield tar.END


@dataclass(frozen=True)
class Packed:
    """A layer as a file.

    Args:
        digest: of the compressed bytes, ``sha256:…``.
        size: of the compressed bytes.
        diff_id: digest of the tar, as the image's configuration holds it.
        path: where the compressed bytes are.
    """

    digest: str
    size: int
    diff_id: str
    path: Path


def pack(layer: Layer, folder: Path, progress: Progress) -> Packed:
    """Write `layer`, gzipped, into `folder`, to a file named by its digest in hex.

    Raises:
        ModelChanged, ModelError: see `Layer.blocks`.
        OSError: it can't be written.
    """
    from clouddeploy.packaging.archive import THREADS
    from clouddeploy.packaging.deflate import GzipStream

    raw, packed = sha256(), sha256()
    hidden = folder / f".{layer.content.digest}"
    with open(hidden, "wb") as file:

        def sink(piece: bytes) -> None:
            packed.update(piece)
            file.write(piece)

        with GzipStream(sink, threads=THREADS) as stream:
            for block in layer.blocks(progress):
                raw.update(block)
                stream.write(block)
    path = folder / packed.hexdigest()
    os.replace(hidden, path)
    path.chmod(0o644)
    return Packed(f"sha256:{path.name}", path.stat().st_size, f"sha256:{raw.hexdigest()}", path)


def _checked(member: Member, progress: Progress) -> Iterator[memoryview]:
    digest, size = sha256(), 0
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with opened(member.source, member.name) as file:
        while size <= member.size and (count := file.readinto(buffer)):  # type: ignore[attr-defined]
            size += count
            digest.update(buffer[:count])
            if size <= member.size:
                yield buffer[:count]
            progress.at(size)
    if size != member.size or digest.hexdigest() != member.sha256:
        raise changed(member.name, member.sha256, member.source)


def _check_root(root: str) -> None:
    reason = ""
    if not root.startswith("/"):
        reason = "it isn't absolute"
    elif root in SYSTEM:
        reason = "the system's own folder would get other rights"
    elif root.endswith("/"):
        reason = "it ends with '/'"
    if reason:
        raise SpecError(
            f"the image's folder {root!r} can't hold a layer",
            why=reason,
            fix="name an absolute folder of its own, such as /var/task or /opt/ml",
        )
    check_member_name(root[1:])


def _check_whiteout(name: str) -> None:
    if any(part.startswith(WHITEOUT) for part in name.split("/")):
        raise SpecError(
            f"the file name {name!r} can't be in an image's layer",
            why="names that begin with .wh. delete what lies below them in the image",
            fix="rename the file, or leave it out",
        )
