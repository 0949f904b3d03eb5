"""Temporary files that live as long as the model that points at them."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class Scratch:
    """A temporary folder, removed when the last holder of this object is gone."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="clouddeploy-model-"))
        self._end = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder now."""
        self._end()
