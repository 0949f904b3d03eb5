"""Sends an image to a registry: its parts first, what names them last."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.errors import NotFound
from clouddeploy.packaging.artifact import Report
from clouddeploy.packaging.images.assembly import Assembly, assemble, own_progress
from clouddeploy.packaging.images.blob import Blob, Progress, digest_of_bytes
from clouddeploy.packaging.images.compose import LABEL
from clouddeploy.packaging.images.http import ANSWER_BYTES
from clouddeploy.packaging.images.media import Descriptor, document
from clouddeploy.packaging.images.reference import check_repository, check_tag
from clouddeploy.packaging.images.registry import Registry
from clouddeploy.packaging.target import FULL, disk_full

if TYPE_CHECKING:
    from clouddeploy.packaging.images.image import ImageArtifact


@dataclass(frozen=True)
class Pushed:
    """An image in a registry.

    Args:
        reference: ``host/repository@sha256:…``, what to deploy: it can't become another image.
        digest: the manifest's.
        sent_bytes: of blobs that the registry didn't have.
        changed: False when the tag named this very image already.
    """

    reference: str
    digest: str
    sent_bytes: int
    changed: bool


def push(
    image: ImageArtifact,
    registry: Registry,
    repository: str,
    tag: str,
    *,
    report: Report | None = None,
    building: Report | None = None,
) -> Pushed:
    """See `ImageArtifact.push`."""
    there = find(image, registry, repository, tag)
    if there is not None:
        return there
    with _scratch(sum(layer.length for layer in image.layers)) as folder:
        made = assemble(image, folder, own_progress(image, building))
        digest = made.descriptor.digest
        reference = f"{registry.host}/{repository}@{digest}"
        sent = _send_all(image, made, registry, repository, report, folder)
        registry.put_manifest(repository, tag, made.manifest, made.descriptor.media_type)
        return Pushed(reference, digest, sent, True)


def find(image: ImageArtifact, registry: Registry, repository: str, tag: str) -> Pushed | None:
    """See `ImageArtifact.find`."""
    check_repository(repository)
    check_tag(tag)
    try:
        raw, _ = registry.manifest(repository, tag)
    except NotFound:
        return None
    name = f"{registry.host}/{repository}:{tag}"
    named = document(raw, name).get("config")
    if not isinstance(named, dict):
        return None
    config = Descriptor.parse(named, name)
    if config.size > ANSWER_BYTES or not registry.has_blob(repository, config.digest):
        return None
    content = io.BytesIO()
    registry.fetch(repository, config, content)
    inner = document(content.getvalue(), name).get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    if not isinstance(labels, dict) or labels.get(LABEL) != image.digest:
        return None
    digest = digest_of_bytes(raw)
    return Pushed(f"{registry.host}/{repository}@{digest}", digest, 0, False)


def _send_all(
    image: ImageArtifact,
    made: Assembly,
    registry: Registry,
    repository: str,
    report: Report | None,
    folder: Path,
) -> int:
    ours = (*made.layers, made.config)
    total = sum(blob.size for blob in ours) + sum(layer.size for layer in image.base.layers)
    progress = Progress(report, total)
    sent = 0
    for layer in image.base.layers:
        sent += _send_base(image, layer, registry, repository, progress, folder)
        progress.past(layer.size)
    for blob in ours:
        if registry.put_blob(repository, blob, told=progress.at):
            sent += blob.size
        progress.past(blob.size)
    return sent


def _send_base(
    image: ImageArtifact,
    layer: Descriptor,
    registry: Registry,
    repository: str,
    progress: Progress,
    folder: Path,
) -> int:
    """Mount a layer of the base where the registry holds it already; else carry it over."""
    source = image.base.source
    if registry.has_blob(repository, layer.digest):
        return 0
    where = None
    if source.host == registry.host and source.repository != repository:
        where = registry.mount(repository, layer.digest, source.repository)
        if where is None:
            return 0
    path = folder / layer.digest.partition(":")[2]
    with open(path, "wb") as file:
        source.fetch(layer, file)
    registry.send(repository, Blob(layer.digest, layer.size, path), where, told=progress.at)
    path.unlink()
    return layer.size


@contextmanager
def _scratch(needed: int) -> Iterator[Path]:
    """A folder that vanishes, with a clear word when the disk is full."""
    try:
        with tempfile.TemporaryDirectory(prefix="clouddeploy-") as folder:
            yield Path(folder)
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(Path(tempfile.gettempdir()) / "image", needed) from error
        raise
