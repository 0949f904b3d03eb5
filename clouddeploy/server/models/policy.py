"""Which of the versions that are there should be loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from clouddeploy.errors import SpecError


def order(version: str) -> tuple[int, int, str]:
    """The sort key of a version: whole numbers by size, and after them names."""
    return (0, int(version), version) if version.isdecimal() else (1, 0, version)


def newest_first(versions: Iterable[str]) -> list[str]:
    """`versions`, the newest first."""
    return sorted(versions, key=order, reverse=True)


@dataclass(frozen=True)
class Policy:
    """Which versions to load, as TensorFlow Serving's ``ServableVersionPolicy`` has them.

    Args:
        latest: so many of the newest; 0 where `specific` says which, None for all.
        specific: these, as far as they are there.
    """

    latest: int | None = 1
    specific: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Policy:
        """The policy that ``latest``, ``latest:2``, ``all`` or ``1,3`` names.

        Raises:
            SpecError: it is none of these.
        """
        word, _, count = text.strip().partition(":")
        if word == "all" and not count:
            return cls(None)
        if word == "latest" and (not count or (count.isdecimal() and int(count) > 0)):
            return cls(int(count or 1))
        names = tuple(part.strip() for part in text.split(","))
        if text.strip() and ":" not in text and all(name.isdecimal() for name in names):
            return cls(0, names)
        raise SpecError(
            f"the version policy is {text!r}",
            why="allowed: latest, latest:N, all, or versions such as 1,3",
            fix="choose one of them",
        )

    def choose(self, there: Collection[str]) -> set[str]:
        """Those of the versions `there` that should be loaded."""
        if self.specific:
            return set(self.specific) & set(there)
        return set(newest_first(there)[: self.latest])
