"""The OCI layout: an image as a folder, written and read.

Source: OCI Image Specification, "Image Layout Specification".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from clouddeploy.errors import NotFound, SpecError
from clouddeploy.packaging.artifact import Report
from clouddeploy.packaging.images.assembly import Assembly, assemble, own_progress
from clouddeploy.packaging.images.base import Base, read_base
from clouddeploy.packaging.images.blob import CHUNK_BYTES, Progress, digest_of_bytes
from clouddeploy.packaging.images.http import ANSWER_BYTES
from clouddeploy.packaging.images.media import INDEXES, MANIFESTS, Descriptor, canonical, damaged, document
from clouddeploy.packaging.images.reference import check_tag
from clouddeploy.packaging.target import appearing

if TYPE_CHECKING:
    from clouddeploy.packaging.images.image import ImageArtifact

BLOBS = Path("blobs", "sha256")
REF_NAME = "org.opencontainers.image.ref.name"
DOCUMENTS_BYTES = 1 << 20  # room for configuration, manifest and index


def write_layout(image: ImageArtifact, out: Path, *, tag: str, report: Report | None) -> Path:
    """See `ImageArtifact.write`."""
    check_tag(tag)
    if image.family != "oci":
        raise SpecError(
            "an image with Docker's media types can't be written as an OCI layout",
            why="the layout's documents are OCI's",
            fix="make it with family='oci', or push it",
        )
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise SpecError(
            f"{str(out)!r} is there already",
            why="the image becomes a folder, and nothing in an existing one is overwritten",
            fix="name a new folder, or remove that one first",
        )
    fetched = sum(layer.size for layer in image.base.layers)
    needed = fetched + sum(layer.length for layer in image.layers) + DOCUMENTS_BYTES
    with appearing(out, needed=needed, at_least=fetched) as hidden:
        blobs = hidden / BLOBS
        blobs.mkdir(parents=True)
        progress = own_progress(image, report, fetched)
        for layer in image.base.layers:
            _fetch(image.base, layer, blobs, progress)
        made = assemble(image, blobs, progress)
        (blobs / made.config.digest.partition(":")[2]).write_bytes(bytes_of(made))
        (blobs / made.descriptor.digest.partition(":")[2]).write_bytes(made.manifest)
        (hidden / "oci-layout").write_bytes(canonical({"imageLayoutVersion": "1.0.0"}))
        (hidden / "index.json").write_bytes(_index(image, made, tag))
        _open_to_all(hidden)
    return out


def bytes_of(made: Assembly) -> bytes:
    """The configuration's bytes."""
    return b"".join(made.config.pieces(0, made.config.size))


def _index(image: ImageArtifact, made: Assembly, tag: str) -> bytes:
    entry = {
        **made.descriptor.to_dict(),
        "platform": {"architecture": image.architecture, "os": "linux"},
        "annotations": {REF_NAME: tag},
    }
    return canonical({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": [entry]})


def _fetch(base: Base, layer: Descriptor, blobs: Path, progress: Progress) -> None:
    path = blobs / layer.digest.partition(":")[2]
    if not path.exists():  # an image may have one layer twice
        with open(path, "xb") as file:
            base.source.fetch(layer, file, progress.at)
    progress.past(layer.size)


def _open_to_all(folder: Path) -> None:
    """The same rights whatever the maker's umask."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


@dataclass(frozen=True)
class Layout:
    """An OCI layout folder as the source of a base image."""

    folder: Path
    host: str = ""
    repository: str = ""

    def base(self, *, architecture: str, tag: str = "") -> Base:
        """The image for `architecture`; `tag` picks one where there are several.

        Raises:
            NotFound: the folder is no layout, or has no such image.
            SpecError: none is for that platform.
            CloudError: what it holds can't be used.
        """
        return read_base(self, tag, architecture, str(self.folder), lambda digest: f"layout@{digest}")

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        """A manifest by digest; the index for anything else, narrowed to the tag `wanted` if given."""
        if wanted.startswith("sha256:"):
            raw = self._read(self.folder / BLOBS / wanted.partition(":")[2])
            if digest_of_bytes(raw) != wanted:
                raise damaged(f"the manifest {wanted} in {self.folder}", "its bytes have another digest")
            return raw, MANIFESTS["oci"]
        index = document(self._read(self.folder / "index.json"), str(self.folder))
        entries = [e for e in index.get("manifests") or [] if isinstance(e, dict)]
        if wanted:
            entries = [e for e in entries if (e.get("annotations") or {}).get(REF_NAME) == wanted]
        if len(entries) == 1:  # one image, or one index over several platforms
            return self.manifest(Descriptor.parse(entries[0], str(self.folder)).digest)
        return canonical({**index, "manifests": entries}), INDEXES[0]

    def fetch(self, wanted: Descriptor, file: BinaryIO, told: Callable[[int], None] | None = None) -> None:
        """Copy a blob to `file`.

        Raises:
            CloudError: its bytes aren't those of the digest.
            NotFound: it isn't there.
        """
        digest, done = sha256(), 0
        with self._open(self.folder / BLOBS / wanted.digest.partition(":")[2]) as blob:
            while piece := blob.read(CHUNK_BYTES):
                digest.update(piece)
                file.write(piece)
                done += len(piece)
                if told:
                    told(done)
        if f"sha256:{digest.hexdigest()}" != wanted.digest or done != wanted.size:
            raise damaged(f"the blob {wanted.digest} in {self.folder}", "its bytes have another digest")

    def _read(self, path: Path) -> bytes:
        with self._open(path) as file:
            return file.read(ANSWER_BYTES)

    def _open(self, path: Path) -> BinaryIO:
        try:
            return open(path, "rb")
        except OSError as error:
            raise NotFound(
                f"the folder {str(self.folder)!r} holds no such image",
                why=str(error),
                fix="name a folder in the OCI layout, as 'skopeo copy … oci:folder' makes it",
            ) from error
