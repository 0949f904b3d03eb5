"""The parts that packages are made of, whichever target they are for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from clouddeploy.errors import ModelError
from clouddeploy.packaging.artifact import Member
from clouddeploy.packaging.selection import TOLD, left_out, suspicions

if TYPE_CHECKING:
    from clouddeploy.model import File, Model

LARGEST = 5


def users_parts(
    model: Model, warnings: list[str], *, files: str = "model/", code: str = "app/"
) -> list[Member]:
    """The weights and the code of `model`, without what is left out by default.

    Args:
        model: what to pack.
        warnings: gets what the maker should know, such as a suspected secret (never the secret itself).
        files: folder of the weights, with its slash.
        code: folder of the code, with its slash.

    Raises:
        ModelError: the handler isn't among the code.
    """
    found = [*kept(model.files, files, warnings), *kept(model.code, code, warnings)]
    if model.handler and f"{code}{model.handler}" not in {member.name for member in found}:
        raise ModelError(
            f"the handler {model.handler!r} isn't among the files to pack",
            why=left_out(model.handler) or "the model's code doesn't hold it",
            fix="rename it, or name a handler that is part of the model's code",
        )
    for member in found:
        warnings += suspicions(member)
    return found


def kept(files: Iterable[File], folder: str, warnings: list[str]) -> Iterator[Member]:
    """`files` under `folder` without what is left out; adds to `warnings` what somebody may miss."""
    for file in files:
        kind = left_out(file.name)
        if not kind:
            yield Member(folder + file.name, file.size, file.sha256, file.path, stamp=file.stamp)
        elif kind in TOLD:
            warnings.append(f"{folder}{file.name}: left out ({kind})")


def canonical_json(value: object) -> bytes:
    """`value` in one spelling: sorted keys, UTF-8, two spaces, a closing line break."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def members_of(files: Mapping[str, bytes]) -> list[Member]:
    """Members for contents at hand, by their names."""
    return [Member.of_bytes(name, content) for name, content in files.items()]


def lines(lock: Iterable[str]) -> bytes:
    """A lock as a file: one pin a line."""
    return "".join(f"{line}\n" for line in lock).encode()


def largest(members: Iterable[Member]) -> tuple[tuple[str, int], ...]:
    """The largest parts of `members` and their bytes, at most five, the largest first."""
    sizes: Counter[str] = Counter()
    for member in members:
        sizes[member.name.partition("/")[0].removesuffix(".libs")] += member.size
    return tuple(sorted(sizes.items(), key=lambda part: (-part[1], part[0]))[:LARGEST])


def told(parts: Iterable[tuple[str, int]]) -> str:
    """Parts and their sizes, for a message."""
    return ", ".join(f"{name} {mebibytes(size)}" for name, size in parts)


def mebibytes(size: int) -> str:
    """A number of bytes, for a message."""
    return f"{size / (1 << 20):.1f} MiB"
