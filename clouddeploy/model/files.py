"""The files that a model consists of, with the sha256 of each."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from clouddeploy.errors import ModelError

_CHUNK = 4 * 1024 * 1024
_LEFT_OUT = frozenset(
    (
        *(".git", ".hg", ".svn", ".bzr", ".idea", ".vscode", ".venv", "venv", ".tox", ".nox", "node_modules"),
        *("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"),
        *(".DS_Store", "Thumbs.db", ".eggs", ".netrc", ".aws", ".ssh"),
    )
)
# some file systems keep times in ticks of two seconds: what was written within one may change unseen
_SETTLED_NS = 2_000_000_000
_hashes: dict[tuple[str, tuple[int, ...]], str] = {}


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model.

    Args:
        name: posix path inside the model's folder or its code folder.
        path: where its bytes are now.
        size: in bytes.
        sha256: of its bytes when the model was made, 64 hex digits.
        stamp: (device, inode, size, mtime_ns, ctime_ns) from before it was hashed: while a file
            keeps them, its bytes are those that were hashed. None where they prove nothing,
            because the file was written to in the same moment.
    """

    name: str
    path: Path
    size: int
    sha256: str
    stamp: tuple[int, ...] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def read(cls, name: str, path: Path) -> File:
        """The file in `path`, to be called `name`.

        Raises:
            ModelError: it can't be read, or `name` leaves the folder.
        """
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or str(pure) in (".", "") or "\\" in name:
            raise ModelError(
                f"the file name {name!r} can't be used", why="it leaves the model's folder", fix="rename it"
            )
        try:
            stamp = _stamp(path)
            settled = time.time_ns() - max(stamp[3:]) > _SETTLED_NS
            return cls(str(pure), path.absolute(), stamp[2], sha256_of(path), stamp if settled else None)
        except OSError as error:
            raise ModelError(
                f"{path} can't be read",
                why=str(error.strerror or error),
                fix="check the path and its permissions",
            ) from error


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, read in pieces; remembered while its size, times and inode stay."""
    key = (str(path.absolute()), _stamp(path))
    if key not in _hashes:
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        _hashes[key] = digest.hexdigest()
    return _hashes[key]


def _stamp(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def left_out(name: str) -> bool:
    """Whether a file or folder of this name never belongs to a model: caches, VCS, secrets."""
    return (
        name in _LEFT_OUT
        or name == ".env"
        or name.startswith(".env.")
        or name.endswith((".pyc", ".pyo", ".egg-info"))
    )


def walk(root: Path) -> Iterable[Path]:
    """Every regular file below `root` that may belong to a model, in the order of their names.

    Raises:
        ModelError: a link leads out of `root`.
    """
    for path in sorted(root.iterdir()):
        if left_out(path.name):
            continue
        if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
            raise ModelError(
                f"{path} is a link that leads out of its folder",
                why=f"to {path.resolve()}",
                fix="copy the file there",
            )
        if path.is_dir() and not path.is_symlink():
            yield from walk(path)
        elif path.is_file():
            yield path


def files_in(root: Path, paths: Iterable[Path]) -> tuple[File, ...]:
    """`paths` as files named relative to `root`, sorted by name."""
    return tuple(File.read(path.relative_to(root).as_posix(), path) for path in sorted(set(paths)))
