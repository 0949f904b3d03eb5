"""The OCI layout as one file, which other tools call an OCI archive.

Source: OCI Image Specification, "Image Layout Specification"; the archive is a tar of the layout, as
skopeo (``oci-archive:``), podman and ``docker load`` read it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.packaging import tar
from clouddeploy.packaging.artifact import Report
from clouddeploy.packaging.images.blob import CHUNK_BYTES
from clouddeploy.packaging.target import appearing

if TYPE_CHECKING:
    from clouddeploy.packaging.images.image import ImageArtifact

FILE_MODE, FOLDER_MODE = 0o644, 0o755


def write_archive(
    image: ImageArtifact, out: Path, *, tag: str = "latest", report: Report | None = None
) -> Path:
    """Write the whole image, base included, to the file `out`: whole or not at all, the same bytes each time.

    Args:
        tag: the image's name within the archive, for other tools.
        report: told ``(done, total)`` in bytes packed or fetched.

    Raises:
        ModelChanged, ModelError, SpecError, CloudError, CredentialsError: as `ImageArtifact.write`.
    """
    needed = 2 * (image.size + sum(layer.size for layer in image.base.layers))
    with (
        appearing(out, needed=needed, at_least=0) as hidden,
        tempfile.TemporaryDirectory(dir=hidden.parent) as place,
    ):
        layout = image.write(Path(place) / "layout", tag=tag, report=report)
        with hidden.open("wb") as file:
            for piece in _blocks(layout):
                file.write(piece)
        hidden.chmod(FILE_MODE)
    return out


def _blocks(layout: Path) -> Iterator[bytes]:
    for path in sorted(layout.rglob("*")):
        name = path.relative_to(layout).as_posix()
        if path.is_dir():
            yield tar.header(name, 0, FOLDER_MODE, tar.DIRECTORY)
            continue
        size = path.stat().st_size
        yield tar.header(name, size, FILE_MODE)
        with path.open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece
        yield tar.padding(size)
    yield tar.END
