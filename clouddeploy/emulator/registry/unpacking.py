"""An image's layers as files in a folder, applied one on top of the other.

Source: OCI Image Specification, "Image Layer Filesystem Changeset" (whiteouts). Nothing is written
outside the folder, whatever names and links a layer holds; devices and owners are left out.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from clouddeploy.emulator.registry.images import StoredImage

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"


class LayerUnusable(Exception):
    """A layer can't be unpacked: it is compressed otherwise, or damaged."""


def unpack(image: StoredImage, folder: Path) -> Path:
    """Write the files of `image` into `folder`, which is made; returns it.

    Raises:
        LayerUnusable: a layer can't be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.resolve()
    for layer in image.layers:
        try:
            with tarfile.open(layer.path, "r:*") as archive:
                _apply(archive, root)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise LayerUnusable(f"layer {layer.digest} ({layer.media_type}): {error}") from error
    return folder


def _apply(archive: tarfile.TarFile, root: Path) -> None:
    made: set[Path] = set()
    for member in archive:
        where = _inside(root, member.name)
        if where is None:
            continue
        if where.name == OPAQUE:
            _empty(where.parent, made)
        elif where.name.startswith(WHITEOUT):
            _remove(where.with_name(where.name.removeprefix(WHITEOUT)))
        else:
            made.update((where, *where.parents))
            _write(archive, member, root, where)


def _inside(root: Path, name: str) -> Path | None:
    """Where a member lies below `root`; its parents are made, and none of them is a link that leads out."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".")]
    if not parts or ".." in parts:
        return None
    place = root
    for part in parts[:-1]:
        place = place / part
        if place.is_symlink():
            place = _followed(root, place)
        if place.exists() and not place.is_dir():
            place.unlink()
        place.mkdir(parents=True, exist_ok=True)
        # Links' targets are counted from where a folder really is, which other links decide.
        place = place.resolve()
        if not place.is_relative_to(root):
            return None
    return place / parts[-1]


def _followed(root: Path, link: Path) -> Path:
    """Where a link leads when `root` is the file system's root."""
    target = PurePosixPath(os.readlink(link))
    base = "/" if target.is_absolute() else f"/{link.parent.relative_to(root).as_posix()}"
    inside = os.path.normpath(os.path.join(base, target))
    return root / inside.lstrip("/")


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, root: Path, where: Path) -> None:
    if member.isdir():
        if where.is_symlink() or (where.exists() and not where.is_dir()):
            where.unlink()
        where.mkdir(exist_ok=True)
        return
    if not (member.isfile() or member.issym() or member.islnk()):
        return
    _remove(where)
    if member.issym():
        where.symlink_to(_relative(member.linkname, where, root))
    elif member.islnk():
        source = _inside(root, member.linkname)
        if source is not None and source.is_file() and not source.is_symlink():
            shutil.copy2(source, where)
    else:
        stream = archive.extractfile(member)
        assert stream is not None
        with stream, where.open("wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
        where.chmod((member.mode & 0o777) | 0o600)


def _relative(target: str, where: Path, root: Path) -> str:
    """A link's target such that it stays below `root`."""
    path = PurePosixPath(target)
    base = "/" if path.is_absolute() else f"/{where.parent.relative_to(root).as_posix()}"
    inside = os.path.normpath(os.path.join(base, path)).lstrip("/")
    return os.path.relpath(root / inside, where.parent)


def _empty(folder: Path, made: set[Path]) -> None:
    """Remove what lower layers put into `folder`, and leave what this one did."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path not in made:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
