"""Repositories, manifests and tags in memory; blobs and unfinished uploads as files.

Source: OCI Distribution Specification, "Pushing manifests": a manifest is taken only when all that it
names is there already.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from clouddeploy.emulator.registry.images import INDEXES, StoredImage, StoredLayer
from clouddeploy.emulator.registry.refusals import RegistryRefused
from clouddeploy.emulator.registry.spaces import Space
from clouddeploy.emulator.registry.uploads import Uploads


@dataclass(frozen=True)
class Manifest:
    """An image's manifest, or an index of several.

    Args:
        digest: of its bytes.
        media_type: as it was pushed.
        content: its bytes.
        pushed_at: seconds since 1970.
    """

    digest: str
    media_type: str
    content: bytes = field(repr=False)
    pushed_at: float

    @property
    def shape(self) -> dict[str, Any]:
        """The document."""
        found: dict[str, Any] = json.loads(self.content)
        return found

    @property
    def is_index(self) -> bool:
        """Whether it names other manifests."""
        return self.media_type in INDEXES or "manifests" in self.shape


@dataclass
class Repository:
    """What one repository holds: digests of blobs, manifests by digest, digests by tag."""

    blobs: set[str] = field(default_factory=set)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def find(self, wanted: str) -> Manifest | None:
        """The manifest that a digest or tag names."""
        return self.manifests.get(wanted if wanted.startswith("sha256:") else self.tags.get(wanted, ""))

    def tags_of(self, digest: str) -> list[str]:
        """The tags that name a manifest, sorted."""
        return sorted(tag for tag, named in self.tags.items() if named == digest)


class Store:
    """All images of an embedded cloud.

    Args:
        folder: where files are put; made when it is needed.

    Attributes:
        spaces: the products that offer repositories; the first that owns a name counts.
        uploads: what is being sent.
    """

    def __init__(self, folder: Path) -> None:
        self.spaces: list[Space] = []
        self.uploads = Uploads(folder / "uploads")
        self._blobs = folder / "blobs"
        self._repositories: dict[str, Repository] = {}
        self._lock = threading.RLock()

    def space_of(self, name: str) -> Space | None:
        """Whose repository `name` is."""
        return next((space for space in self.spaces if space.owns(name)), None)

    def repositories(self) -> dict[str, Repository]:
        """Every repository that something was pushed to, by name."""
        with self._lock:
            return dict(self._repositories)

    def repository(self, name: str) -> Repository:
        """What is in a repository; an empty one for a name that nothing was pushed to."""
        with self._lock:
            return self._repositories.get(name) or Repository()

    def drop(self, name: str) -> None:
        """Remove a repository with all that is in it."""
        with self._lock:
            self._repositories.pop(name, None)
            self._sweep()

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            self._repositories.clear()
            self.uploads.clear()
            shutil.rmtree(self._blobs, ignore_errors=True)

    # blobs

    def blob(self, name: str, digest: str) -> Path | None:
        """The file of a blob that the repository holds."""
        with self._lock:
            return self._path(digest) if digest in self.repository(name).blobs else None

    def add(self, name: str, digest: str, file: Path) -> None:
        """Take the file `file`, whose digest was checked, as a blob of a repository."""
        with self._lock:
            path = self._path(digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            file.replace(path)
            self._own(name).blobs.add(digest)

    def add_bytes(self, name: str, content: bytes) -> str:
        """Store bytes as a blob of a repository; their digest."""
        digest = digest_of(content)
        with self._lock:
            path = self._path(digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            self._own(name).blobs.add(digest)
        return digest

    def mount(self, name: str, digest: str, source: str) -> bool:
        """Have a blob of the repository `source` in `name`, too; whether it was there."""
        with self._lock:
            there = digest in self.repository(source).blobs
            if there:
                self._own(name).blobs.add(digest)
            return there

    def remove_blob(self, name: str, digest: str) -> bool:
        """Take a blob out of a repository; whether it was there."""
        with self._lock:
            blobs = self.repository(name).blobs
            there = digest in blobs
            blobs.discard(digest)
            self._sweep()
            return there

    def _own(self, name: str) -> Repository:
        return self._repositories.setdefault(name, Repository())

    def _path(self, digest: str) -> Path:
        return self._blobs / digest.partition(":")[2]

    def _sweep(self) -> None:
        """Delete the files of blobs that no repository holds."""
        held = {digest.partition(":")[2] for one in self._repositories.values() for digest in one.blobs}
        for path in self._blobs.iterdir() if self._blobs.is_dir() else ():
            if path.name not in held:
                path.unlink()

    # manifests

    def put(self, name: str, wanted: str, content: bytes, media_type: str) -> Manifest:
        """Store a manifest under a tag or its digest.

        Raises:
            RegistryRefused: it is none, names what isn't there, or the tag can't be moved.
        """
        shape = _shape(content)
        digest = digest_of(content)
        is_digest = wanted.startswith("sha256:")
        if is_digest and wanted != digest:
            raise RegistryRefused("DIGEST_INVALID", "provided digest did not match uploaded content")
        with self._lock:
            held = self.repository(name)
            self._refuse_missing(held, shape)
            self._refuse_moving(name, held, "" if is_digest else wanted, digest)
            own = self._own(name)
            made = Manifest(digest, str(shape.get("mediaType") or media_type), content, time.time())
            made = own.manifests.setdefault(digest, made)
            if not is_digest:
                own.tags[wanted] = digest
            return made

    def _refuse_missing(self, held: Repository, shape: Mapping[str, Any]) -> None:
        for entry in _needed(shape):
            digest = str(entry.get("digest"))
            if digest not in held.blobs:
                raise RegistryRefused("MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {digest}")
            size = self._path(digest).stat().st_size
            if entry.get("size") != size:
                raise RegistryRefused("MANIFEST_INVALID", f"blob {digest} has {size} bytes")
        for entry in shape.get("manifests") or ():
            if entry.get("digest") not in held.manifests:
                message = f"manifest unknown to registry: {entry.get('digest')}"
                raise RegistryRefused("MANIFEST_BLOB_UNKNOWN", message)

    def _refuse_moving(self, name: str, held: Repository, tag: str, digest: str) -> None:
        space = self.space_of(name)
        if tag and held.tags.get(tag, digest) != digest and space is not None and space.frozen(name):
            raise RegistryRefused(
                "TAG_INVALID",
                f"The image tag '{tag}' already exists in the '{name.rpartition('/')[2]}' repository and "
                "cannot be overwritten because the tag is immutable.",
            )

    def untag(self, name: str, tag: str) -> bool:
        """Take a tag away; whether it was there. The manifest stays."""
        with self._lock:
            return self.repository(name).tags.pop(tag, None) is not None

    def remove(self, name: str, digest: str) -> bool:
        """Remove a manifest, its tags, and the blobs that no other one here names; whether it was there."""
        with self._lock:
            held = self.repository(name)
            gone = held.manifests.pop(digest, None)
            if gone is None:
                return False
            for tag in held.tags_of(digest):
                del held.tags[tag]
            needed = {str(e.get("digest")) for m in held.manifests.values() for e in _needed(m.shape)}
            held.blobs -= {str(e.get("digest")) for e in _needed(gone.shape)} - needed
            self._sweep()
            return True

    def image(self, name: str, wanted: str) -> StoredImage | None:
        """The image that a digest or tag names; None where there is none, or an index of several."""
        with self._lock:
            found = self.repository(name).find(wanted)
            if found is None or found.is_index:
                return None
            shape = found.shape
            document = json.loads(self._path(shape["config"]["digest"]).read_bytes())
            layers = tuple(
                StoredLayer(str(e["digest"]), str(e["mediaType"]), self._path(e["digest"]))
                for e in shape["layers"]
            )
            size = sum(int(e["size"]) for e in _needed(shape)) + len(found.content)
            return StoredImage(name, found.digest, layers, document, size)


def digest_of(content: bytes) -> str:
    """``sha256:…`` of bytes."""
    return f"sha256:{sha256(content).hexdigest()}"


def _shape(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("schemaVersion") != 2:
        raise RegistryRefused("MANIFEST_INVALID", "manifest invalid: no document of schema version 2")
    named = [found.get("config"), *(found.get("layers") or ())] if "manifests" not in found else []
    if not all(isinstance(entry, dict) for entry in [*named, *(found.get("manifests") or ())]):
        raise RegistryRefused("MANIFEST_INVALID", "manifest invalid: it names no configuration")
    return found


def _needed(shape: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The blobs that an image's manifest names."""
    if "manifests" in shape:
        return ()
    return (shape["config"], *(shape.get("layers") or ()))
