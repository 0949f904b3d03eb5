"""Packages that are written once: suites deploy the same two models hundreds of times."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


class WrittenOnce:
    """A packager whose packages' files are kept by their digest, and copied when they are asked for again.

    Args:
        packager: makes the packages.
        folder: where the files are kept; the caller removes it.
    """

    def __init__(self, packager: Callable[..., Any], folder: Path) -> None:
        self._packager, self._folder = packager, folder

    def __call__(self, *args: Any, **options: Any) -> KeptPackage:
        """The package; nothing is written yet."""
        return KeptPackage(self._packager(*args, **options), self._folder)


class KeptPackage:
    """A package whose file is written at most once.

    Args:
        package: the package itself.
        folder: where its file is kept.
    """

    def __init__(self, package: Any, folder: Path) -> None:
        self._package, self._folder = package, folder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._package, name)

    def write(self, out: Path, **options: Any) -> Path:
        """Write the file to `out`."""
        kept = self._folder / str(self._package.digest)
        if not kept.exists():
            # Packages are written aside and moved, so what lies here is whole.
            self._package.write(kept, **options)
        shutil.copyfile(kept, out)
        return out
