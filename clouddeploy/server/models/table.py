"""Which version answers a request: looked up in a table that is replaced as a whole."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.models.assignment import draw, key_of, pick
from clouddeploy.server.models.policy import newest_first
from clouddeploy.server.models.state import Wish

if TYPE_CHECKING:
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models.loaded import Loaded

LATEST = "latest"
"""The label that every model has, unless its own labels say otherwise."""


@dataclass(frozen=True)
class Entry:
    """One model.

    Args:
        name: the model's.
        versions: those that answer, by version.
        wish: what is wished of it.

    Attributes:
        only: the version that answers every request that names none; None when it depends.
        weights: of the versions that are there.
    """

    name: str
    versions: Mapping[str, Loaded]
    wish: Wish = field(default_factory=Wish)

    def __post_init__(self) -> None:
        there = {v: w for v, w in self.wish.weights.items() if v in self.versions}
        newest = newest_first(self.versions)
        one = next(iter(there)) if len(there) == 1 else newest[0] if newest and not there else None
        object.__setattr__(self, "weights", there)
        object.__setattr__(self, "only", self.versions[one] if one is not None else None)
        shadow = self.wish.shadow
        copies = self.versions.get(shadow.version) if shadow else None
        object.__setattr__(self, "copies", copies)

    only: Loaded | None = field(init=False)
    weights: Mapping[str, float] = field(init=False)
    copies: Loaded | None = field(init=False)

    def choose(self, exchange: Exchange | None) -> Loaded:
        """The version for a request that names none."""
        if self.only is not None:
            return self.only
        key = key_of(self.wish.sticky, exchange.request) if exchange and self.wish.sticky else None
        if key is None:
            return self.versions[draw(self.weights)]
        return self.versions[pick(self.name, self.wish.salt, key, self.weights)]

    def named(self, version: str | None, label: str | None) -> Loaded:
        """The version of that name or label.

        Raises:
            WireError: ``not_found``.
        """
        wanted = version
        if version is None and label is not None:
            wanted = self.wish.labels.get(label)
            if wanted is None and label == LATEST and self.versions:
                wanted = newest_first(self.versions)[0]
        found = self.versions.get(wanted or "")
        if found is None:
            what = f"version {version!r}" if version is not None else f"label {label!r}"
            known = ", ".join(newest_first(self.versions)) or "none"
            raise WireError(
                "not_found", f"model {self.name!r} has no {what[:110]}", f"versions that answer: {known}"
            )
        return found

    def shadow_of(self, answering: Loaded) -> Loaded | None:
        """The version that gets a copy of a request that `answering` answers, by chance."""
        shadow = self.wish.shadow
        if shadow is None or self.copies is None or self.copies is answering:
            return None
        return self.copies if random.random() * 100 < shadow.percent else None


Table = Mapping[str, Entry]


def make(loaded: Iterable[Loaded], wishes: Mapping[str, Wish]) -> dict[str, Entry]:
    """The table for the versions that are loaded."""
    by_model: dict[str, dict[str, Loaded]] = {}
    for one in loaded:
        by_model.setdefault(one.name, {})[one.version] = one
    return {
        name: Entry(
            name, {v: versions[v] for v in reversed(newest_first(versions))}, wishes.get(name, Wish())
        )
        for name, versions in by_model.items()
    }
