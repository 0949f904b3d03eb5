"""``clouddeploy.json``, which tells the runtime what lies beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clouddeploy.runtime.errors import LoadError

NAME = "clouddeploy.json"
VERSION = 1


def read(model_dir: Path) -> dict[str, Any]:
    """The manifest in `model_dir`.

    Raises:
        LoadError: it is missing, broken, or of a newer version.
    """
    path = model_dir / NAME
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LoadError(f"{path} can't be read: {error}") from error
    if manifest.get("version", 0) > VERSION:
        raise LoadError(f"{path} has version {manifest['version']}; this runtime reads up to {VERSION}")
    return manifest
