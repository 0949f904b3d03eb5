"""Weights that are too large for a source, and lie in Cloud Storage instead.

The source tells what they are (`REMOTE`), by sha256; where they are is told by the variable
``CLOUDDEPLOY_MODEL``, as ``gs://bucket/object#generation``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from clouddeploy.packaging.artifact import Artifact, Member

REMOTE = "clouddeploy-model.json"
FOLDER = "model/"
LIGHT_BYTES = 1_000_000
"""Files of at most this many bytes stay in the source in any case, so that mostly one file leaves it."""


@dataclass(frozen=True)
class RemoteModel:
    """Weights for Cloud Storage.

    Args:
        content: what to put there: a file as it is, or several as a ``.tar.gz``.
        files: the weights, by their names in the model's folder.
    """

    content: Artifact | Member
    files: tuple[Member, ...]

    @property
    def size(self) -> int:
        """Bytes of the weights, uncompressed."""
        return sum(file.size for file in self.files)

    @property
    def object(self) -> str:
        """A name for it by content: ``models/<64 hex digits>``, below whatever prefix the bucket has."""
        one = self.content
        return f"models/{one.sha256 if isinstance(one, Member) else one.digest}"

    def described(self) -> dict[str, Any]:
        """What `REMOTE` holds."""
        rows = [{"name": file.name, "size": file.size, "sha256": file.sha256} for file in self.files]
        form = "file" if isinstance(self.content, Member) else "tar.gz"
        return {"version": 1, "object": self.object, "form": form, "files": rows}


def divided(members: Iterable[Member], limit_bytes: int) -> tuple[tuple[Member, ...], RemoteModel | None]:
    """`members` without the weights that don't stay in the source, and those.

    Args:
        members: with the weights under ``model/``.
        limit_bytes: weights that stay in any case, together.
    """
    found = tuple(members)
    weights = [member for member in found if member.name.startswith(FOLDER)]
    if sum(member.size for member in weights) <= limit_bytes:
        return found, None
    heavy = [m for m in weights if m.size > LIGHT_BYTES] or weights
    files = tuple(
        Member(m.name.removeprefix(FOLDER), m.size, m.sha256, m.source, m.mode, m.stamp) for m in heavy
    )
    content = files[0] if len(files) == 1 else Artifact("gzip", files, origin=found)
    return tuple(m for m in found if m not in heavy), RemoteModel(content, files)
