"""Requirements as wheels for another machine: resolved into a lock, installed once into a trimmed tree.

Both are kept in the cache folder. A resolution is kept like a lock file: the same requirements give
the same versions, and so the same artifact, until they change or ``CLOUDDEPLOY_RELOCK=1`` asks anew.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from clouddeploy.errors import ModelError
from clouddeploy.packaging import trimming, uv
from clouddeploy.packaging.artifact import Member
from clouddeploy.packaging.cache import cache_folder, keep_file
from clouddeploy.packaging.platforms import Platform
from clouddeploy.packaging.requirements import normalised
from clouddeploy.packaging.source import hashed
from clouddeploy.packaging.unresolved import unresolved
from clouddeploy.spec import digest_of

RELOCK = "CLOUDDEPLOY_RELOCK"
INDEX = ".clouddeploy-tree.json"


@dataclass(frozen=True)
class Tree:
    """Wheels installed for one platform, trimmed.

    Args:
        folder: where they are, importable on a machine of that platform.
        lock: what they are, one pin a line.
        members: their files, sorted by name, hashed when they were installed.
    """

    folder: Path
    lock: tuple[str, ...]
    members: tuple[Member, ...]

    @cached_property
    def entries(self) -> tuple[str, ...]:
        """Names at the top level, sorted."""
        return trimming.top_level(member.name for member in self.members)

    def forget(self) -> None:
        """Have it installed again the next time: somebody changed it."""
        (self.folder / INDEX).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def resolve(requirements: Iterable[str], platform: Platform, *, index: str | None = None) -> tuple[str, ...]:
    """The exact versions that `requirements` come to on `platform`, as lines ``name==version``, sorted.

    Args:
        index: address of a package index that is asked besides the usual one.

    Raises:
        ModelError: they can't be resolved, or a package has no wheel that fits: names it, and the
            platforms that have one.
    """
    lines = normalised(requirements)
    if not lines:
        return ()
    asked_of = {**uv.index_settings(), **({"index": index} if index else {})}
    key = digest_of({"requirements": lines, "platform": platform.tag, "python": platform.python,
                     "settings": asked_of})  # fmt: skip
    kept = cache_folder() / "locks" / f"{key[:32]}.txt"
    if kept.is_file() and os.environ.get(RELOCK, "") in ("", "0"):
        return tuple(kept.read_text(encoding="utf-8").splitlines())
    with tempfile.TemporaryDirectory(prefix="clouddeploy-") as folder:
        asked = Path(folder) / "requirements.in"
        asked.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        command = ("pip", "compile", "--quiet", "--no-header", "--no-annotate", str(asked))
        done = uv.run(command, platform, index=index)
    if done.status:
        raise unresolved(lines, platform, done)
    lock = tuple(sorted(_pins(done.answer)))
    keep_file(kept, "".join(f"{line}\n" for line in lock).encode())
    return lock


def _pins(answer: str) -> Iterator[str]:
    for line in answer.splitlines():
        pin = line.partition(" ;")[0].strip()
        if pin and not pin.startswith(("#", "-")):
            yield pin


def installed(lock: Sequence[str], platform: Platform, *, index: str | None = None) -> Tree:
    """The wheels that `lock` names, from the cache, or installed into it; `index` as for `resolve`.

    Raises:
        ModelError: uv could not install them, or one of them holds a link.
    """
    pins = tuple(lock)
    key = digest_of({"lock": pins, "platform": platform.tag, "python": platform.python,
                     "trimming": trimming.VERSION})  # fmt: skip
    folder = cache_folder() / "wheels" / key[:32]
    if not (folder / INDEX).is_file():
        _install(pins, platform, folder, index)
    rows = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    members = tuple(Member(name, size, sha256, folder / name, mode) for name, size, sha256, mode in rows)
    return Tree(folder, pins, members)


def _install(pins: tuple[str, ...], platform: Platform, folder: Path, index: str | None) -> None:
    """Install into a folder beside, which becomes `folder` when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=".installing-", dir=folder.parent))
    try:
        listed, tree = hidden / "requirements.txt", hidden / "tree"
        listed.write_text("".join(f"{line}\n" for line in pins), encoding="utf-8")
        tree.mkdir(mode=0o755)
        if pins:
            where = ("--target", str(tree), "--link-mode", "copy", "--no-compile-bytecode")
            command = ("pip", "install", "--quiet", "--no-deps", *where, "--requirement", str(listed))
            done = uv.run(command, platform, index=index)
            if done.status:
                raise unresolved(pins, platform, done)
        trimming.trim(tree)
        rows = indexed(tree)
        (tree / INDEX).write_text(json.dumps(rows), encoding="utf-8")
        try:
            tree.rename(folder)
        except OSError:
            if not (folder / INDEX).is_file():  # else another process was faster
                raise
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def indexed(tree: Path) -> list[list[object]]:
    """Name, size, sha256 and mode of each file below `tree`, sorted.

    Raises:
        ModelError: one of them is a link, or something else that is no regular file.
    """
    found = sorted(path for path in tree.rglob("*") if path.is_symlink() or not path.is_dir())
    return [_row(tree, path) for path in found]


def _row(tree: Path, path: Path) -> list[object]:
    name = path.relative_to(tree).as_posix()
    if path.is_symlink() or not path.is_file():
        raise ModelError(
            f"the wheels hold {name!r}, which is no regular file",
            why="an archive that is unpacked elsewhere must not hold links",
            fix="leave out the package that brings it",
        )
    mode = 0o755 if path.stat().st_mode & 0o111 else 0o644
    return [name, *hashed(path, name), mode]
