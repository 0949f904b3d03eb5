"""What a ``requirements.txt`` names, and which distributions at hand satisfy it, needs of needs included."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from clouddeploy.emulator.google.plane.framework import installed_as
from clouddeploy.emulator.plane.base_image import Installed, canonical
from clouddeploy.emulator.plane.environment import site_of

if TYPE_CHECKING:
    from packaging.requirements import Requirement

Find = Callable[[str], metadata.Distribution | None]


@dataclass(frozen=True)
class Wanted:
    """A requirements file, read.

    Args:
        requirements: those that hold on this interpreter.
        opaque: whether there are lines besides that only pip understands and that may ask for more.
    """

    requirements: tuple[Requirement, ...]
    opaque: bool

    def names(self, name: str) -> bool:
        """Whether it names a distribution."""
        return any(canonical(r.name) == name for r in self.requirements)


def read(path: Path) -> Wanted:
    """Read a file; one that is missing wants nothing."""
    from packaging.requirements import InvalidRequirement, Requirement

    text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    found, opaque = [], False
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        plain = re.sub(r"(^|\s)#.*$", "", line).strip()
        plain = re.sub(r"\s--hash[= ]\S+", "", plain).strip()
        if not plain or re.match(r"--?(i|f|index-url|extra-index-url|find-links|prefer-binary)\b", plain):
            continue
        try:
            requirement = Requirement(plain)
        except InvalidRequirement:
            opaque = True
            continue
        opaque = opaque or requirement.url is not None
        if requirement.marker is None or requirement.marker.evaluate():
            found.append(requirement)
    return Wanted(tuple(found), opaque)


def from_host(name: str) -> metadata.Distribution | None:
    """This interpreter's own distribution of a name."""
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def from_folder(folder: Path) -> Find:
    """The distributions of an environment."""
    site = str(site_of(folder))
    held = {canonical(d.metadata["Name"]): d for d in metadata.distributions(path=[site])}
    return lambda name: held.get(canonical(name))


@dataclass
class Choice:
    """What was chosen.

    Args:
        chosen: by normalised name.
        missing: requirements that nothing at hand satisfies.
    """

    chosen: dict[str, metadata.Distribution] = field(default_factory=dict)
    missing: list[Requirement] = field(default_factory=list)

    def installed(self) -> tuple[Installed, ...]:
        """The chosen distributions, sorted by name."""
        return tuple(installed_as(self.chosen[name]) for name in sorted(self.chosen))


def choose(wanted: Iterable[Requirement], sources: Sequence[Find]) -> Choice:
    """Choose for each requirement, and for what the chosen need, the first source that satisfies all."""
    choice = Choice()
    limits: dict[str, list[Requirement]] = {}
    waiting = list(wanted)
    while waiting:
        requirement = waiting.pop(0)
        name = canonical(requirement.name)
        limits.setdefault(name, []).append(requirement)
        old = choice.chosen.get(name)
        new = _first(name, limits[name], sources)
        if new is None:
            choice.chosen.pop(name, None)
            choice.missing.append(requirement)
            continue
        choice.chosen[name] = new
        if new is not old or requirement.extras:
            waiting += _needs(new, requirement.extras)
    return choice


def _first(name: str, limits: Sequence[Requirement], sources: Sequence[Find]) -> metadata.Distribution | None:
    for find in sources:
        found = find(name)
        if found is not None and all(r.specifier.contains(found.version, prereleases=True) for r in limits):
            return found
    return None


def _needs(distribution: metadata.Distribution, extras: Iterable[str]) -> list[Requirement]:
    from packaging.requirements import Requirement

    found = []
    for text in distribution.requires or ():
        requirement = Requirement(text)
        contexts: list[Mapping[str, str]] = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(dict(c)) for c in contexts):
            found.append(requirement)
    return found
