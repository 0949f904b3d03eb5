"""What a packed model consists of, named by content before a byte of it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

from clouddeploy.errors import ModelError
from clouddeploy.spec import digest_of

Form = Literal["gzip", "prefix", "zip"]
Report = Callable[[int, int], None]
"""Told ``(done, total)`` in bytes while something is written or sent."""

Stamp = tuple[int, ...]
"""A file's (device, inode, size, mtime_ns, ctime_ns): equal stamps, untouched file."""

MANIFEST = "clouddeploy.json"
FILE_MODE = 0o644
NAME_BYTES = 255


@dataclass(frozen=True)
class Member:
    """One regular file of an artifact.

    Args:
        name: posix path inside the artifact.
        size: bytes.
        sha256: of the content, 64 hex digits.
        source: where the bytes are, or the bytes themselves.
        mode: permission bits; the same for every file, so that the maker's umask doesn't matter.
        stamp: the file's stamp at the time when `sha256` was computed, where known: while it still
            holds, a copy need not be hashed again. No part of the identity.

    Raises:
        ModelError: the name is absolute, climbs out, or can't be a file name on the other side.
    """

    name: str
    size: int
    sha256: str
    source: Path | bytes = field(compare=False)
    mode: int = FILE_MODE
    stamp: Stamp | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        check_member_name(self.name)

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> Member:
        """A member whose content is at hand."""
        return cls(name, len(content), sha256(content).hexdigest(), content)


def check_member_name(name: str) -> None:
    """Refuse a name that would land outside the folder it is unpacked in, or not at all.

    The rules are those of SageMaker's `S3ModelDataSource` (API reference): no empty, ``.`` or
    ``..`` part, no NUL, no part longer than 255 bytes; and no backslash or control character.
    """
    parts = name.split("/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        reason = "it is absolute"
    elif ".." in parts:
        reason = "it climbs out of its folder with '..'"
    elif any(not part.strip() or part == "." for part in parts):
        reason = "a part of it is empty, blank or '.'"
    elif re.search(r"[\x00-\x1f\x7f\\]", name):
        reason = "it holds a backslash or a control character"
    elif not name.isprintable() and any("\ud800" <= c <= "\udfff" for c in name):
        reason = "it isn't valid UTF-8"
    elif any(len(part.encode()) > NAME_BYTES for part in parts):
        reason = f"a part of it is longer than {NAME_BYTES} bytes"
    else:
        return
    raise ModelError(
        f"the file name {name!r} can't be packed",
        why=reason,
        fix="rename the file, or leave it out of the model",
    )


@dataclass(frozen=True)
class Artifact:
    """The bytes built from a model for one kind of runtime: same input, same bytes.

    Args:
        form: ``"gzip"``, one ``model.tar.gz``; ``"prefix"``, the files as they are; ``"zip"``, one zip.
        members: the files, sorted by name.
        warnings: what the maker should know, such as a suspected secret (never the secret itself).
        origin: kept alive with the artifact, as the files of a model may be temporary.

    Raises:
        ModelError: two members have one name, or one's name is another's folder.
    """

    form: Form
    members: tuple[Member, ...]
    warnings: tuple[str, ...] = ()
    origin: object = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise ModelError(
                f"Artifact.form is {self.form!r}", why="allowed: 'gzip', 'prefix', 'zip'", fix="choose one"
            )
        ordered = sorted(self.members, key=lambda m: m.name.encode())
        _check_clashes([m.name for m in ordered])
        object.__setattr__(self, "members", tuple(ordered))

    @cached_property
    def digest(self) -> str:
        """sha256 over form, names, sizes, contents and modes; known before any byte is written."""
        rows = [[m.name, m.size, m.sha256, m.mode] for m in self.members]
        return digest_of({"form": self.form, "members": rows})

    @property
    def size(self) -> int:
        """Bytes of all members, uncompressed."""
        return sum(m.size for m in self.members)

    def write(self, out: Path, *, report: Report | None = None) -> Path:
        """Write it to `out`: a ``.tar.gz`` or ``.zip`` file, or a folder in the prefix form.

        Atomic: `out` appears whole or not at all, and after a failure or Ctrl-C nothing is left.
        A file of that name is replaced; a folder that isn't empty is refused.

        Raises:
            ModelChanged: a file isn't what it was when the model was made.
            ModelError: a file is gone or no regular file, `out` can't be written, or the disk is full.
        """
        from clouddeploy.packaging.archive import write_archive
        from clouddeploy.packaging.folder import write_folder
        from clouddeploy.packaging.zip_archive import write_zip

        write = {"gzip": write_archive, "prefix": write_folder, "zip": write_zip}[self.form]
        return write(self.members, Path(out), report=report or _silent)


def onward(report: Report, before: int, total: int) -> Callable[[int], None]:
    """Reports one file's bytes as bytes of the whole, after the `before` of the files ahead of it."""

    def one(done: int) -> None:
        report(before + done, total)

    return one


def _silent(done: int, total: int) -> None:
    """Report to nobody."""


def _check_clashes(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        parents = {name[:i] for i, c in enumerate(name) if c == "/"}
        clash = name if name in seen else next(iter(parents & seen), None)
        if clash is not None:
            raise ModelError(
                f"the file name {name!r} clashes with {clash!r}",
                why="two files of an artifact have the same name, or one's name is the other's folder",
                fix="rename one of them",
            )
        seen.add(name)
