"""``code/requirements.txt``, installed when a container starts, as the inference toolkit does.

"Use a requirements.txt file" (sagemaker-inference toolkit and PyTorch serving container): pip installs
it on top of the image. What the image has already is left alone; the rest goes into an environment of
its own, cached by the digest of image and requirements (see ``pip.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clouddeploy.emulator.plane.base_image import canonical
from clouddeploy.emulator.plane.environment import Environment, cached, digest
from clouddeploy.emulator.plane.pip import Pip, RequirementsFailed, install_over

__all__ = ["Install", "RequirementsFailed", "missing", "read"]


def read(path: Path) -> list[str]:
    """The requirement lines of a file, comments left out; a missing file has none."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [
        line for line in (text.split(" #")[0].strip() for text in lines) if line and not line.startswith("#")
    ]


def missing(lines: Sequence[str], base: Environment) -> list[str]:
    """Those of `lines` that the base environment doesn't satisfy; what isn't PEP 508 counts as missing."""
    from packaging.requirements import InvalidRequirement, Requirement

    have = {d.name: d.version for d in base.distributions}
    left = []
    for line in lines:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            left.append(line)
            continue
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        version = have.get(canonical(wanted.name))
        satisfied = version is not None and wanted.specifier.contains(version, prereleases=True)
        if not satisfied or wanted.url or wanted.extras:
            left.append(line)
    return left


@dataclass(frozen=True)
class Install:
    """One installation: where the requirements are, who hears pip, and what makes it give up."""

    path: Path
    base: Environment
    log: Callable[[str], None]
    cancelled: threading.Event

    def environment(self) -> Environment:
        """The environment that satisfies the requirements.

        Raises:
            RequirementsFailed: pip refused, or it was cancelled.
        """
        lines = missing(read(self.path), self.base)
        if not lines:
            return self.base
        key = digest([self.base.key, *sorted(lines)])
        return replace(self.base, key=key, folder=cached(key, self._build))

    def _build(self, folder: Path) -> None:
        pip = Pip(folder, self.path.parent, self.log, self.cancelled)
        install_over(self.base.distributions, pip, ["--requirement", str(self.path)])
