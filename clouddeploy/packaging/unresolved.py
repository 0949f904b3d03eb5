"""What uv said when it could not resolve or install, as an error that names the package to mend."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clouddeploy.errors import ModelError
from clouddeploy.packaging import uv
from clouddeploy.packaging.platforms import Platform

TOLD_LINES = 12
_OTHER_PLATFORM = re.compile(
    r"Wheels are available for `([^`]+)` \(v?([^)]+)\) (?:on|with) (.+?)(?= hint:|$)"
)
_OTHER_PYTHON = re.compile(
    r"we only found wheels for `([^`]+)` \(v?([^)]+)\) with the following Python (?:\w+ )?tags?: "
    r"(.+?)(?= hint:|$)"
)
_NO_WHEEL = re.compile(r"Wheels are required for `([^`]+)`")
_FIX = "ask for a version that has one, choose another Python or architecture, or deploy an image"


def unresolved(lines: Sequence[str], platform: Platform, done: uv.Done) -> ModelError:
    """The error for `lines`, which uv answered with `done`."""
    said = " ".join(part.strip() for part in done.told)
    missing = "no wheels with a matching" in said
    other = missing and (_OTHER_PLATFORM.search(said) or _OTHER_PYTHON.search(said))
    if other:
        has = ", ".join(re.findall(r"`([^`]+)`", other[3]))
        return ModelError(
            f"{other[1]} {other[2]} has no wheel for {platform}",
            why=f"it has wheels for {has}; nothing is built from source for another machine",
            fix=_FIX,
        )
    none = _NO_WHEEL.search(said)
    if none:
        version = re.search(rf"{re.escape(none[1])}==([^\s,]+)", said)
        return ModelError(
            f"{none[1]}{' ' + version[1] if version else ''} has no wheel for {platform}",
            why="it has no wheels at all, and nothing is built from source for another machine",
            fix=_FIX,
        )
    return ModelError(
        f"the requirements can't be resolved for {platform}: {', '.join(lines)}",
        why="uv says: " + " | ".join(part.strip() for part in done.told[-TOLD_LINES:]),
        fix="correct the names and versions, or check the package index (UV_DEFAULT_INDEX names it)",
    )
