"""Makes an image's own blobs: its layers as files, its two documents in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.packaging.artifact import Report
from clouddeploy.packaging.images.blob import Blob, Progress
from clouddeploy.packaging.images.compose import config_of, config_type, manifest_of
from clouddeploy.packaging.images.layer import pack
from clouddeploy.packaging.images.media import MANIFESTS, Descriptor

if TYPE_CHECKING:
    from clouddeploy.packaging.images.image import ImageArtifact


@dataclass(frozen=True)
class Assembly:
    """An image's own blobs.

    Args:
        layers: ours, as files.
        config: the configuration.
        manifest: the manifest's bytes.
        descriptor: what names the manifest.
    """

    layers: tuple[Blob, ...]
    config: Blob
    manifest: bytes = field(repr=False)
    descriptor: Descriptor


def assemble(image: ImageArtifact, folder: Path, progress: Progress) -> Assembly:
    """Write the layers into `folder`, named by digest in hex, and make the documents.

    Raises:
        ModelChanged: a file isn't what it was when it was hashed.
        ModelError: a file can't be read.
        OSError: a layer can't be written.
    """
    packed = [pack(layer, folder, progress) for layer in image.layers]
    config = Blob.of_bytes(config_of(image, packed))
    manifest = manifest_of(image, Descriptor(config_type(image.family), config.digest, config.size), packed)
    name = Blob.of_bytes(manifest)
    return Assembly(
        tuple(Blob(one.digest, one.size, one.path) for one in packed),
        config,
        manifest,
        Descriptor(MANIFESTS[image.family], name.digest, name.size),
    )


def own_progress(image: ImageArtifact, report: Report | None, more: int = 0) -> Progress:
    """Progress over our files' bytes, and `more`."""
    return Progress(report, image.size + more)
