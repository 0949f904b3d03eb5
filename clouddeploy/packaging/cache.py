"""The folder of what can be made again: resolutions and installed wheels, found by their digest."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """``CLOUDDEPLOY_CACHE_DIR``, else ``clouddeploy`` in the user's cache folder (XDG Base Directory)."""
    chosen = os.environ.get("CLOUDDEPLOY_CACHE_DIR")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "clouddeploy"


def keep_file(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, hidden = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.replace(hidden, path)
    except BaseException:
        Path(hidden).unlink(missing_ok=True)
        raise
