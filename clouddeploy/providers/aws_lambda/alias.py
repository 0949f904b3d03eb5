"""The alias that callers use: it points to the version that serves, and moving it is the update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import NotFound
from clouddeploy.providers.aws_lambda import names, provisioned
from clouddeploy.providers.aws_lambda.releases import find_releases
from clouddeploy.providers.aws_lambda.settling import when_free
from clouddeploy.providers.aws_lambda.site import Site, made_or_there

NUMBERED = "version "
"""How a version that isn't one of ours is told."""


@dataclass(frozen=True)
class Alias:
    """The alias ``live``.

    Args:
        site: where it lives.
        release: the release that should serve.
        is_provisioned: whether copies are kept running on it, which follow it to the new version.
        needs: keys of what must exist before.
        shares: percent of the requests that other releases get; Lambda takes one other at most.
    """

    site: Site
    release: str
    is_provisioned: bool = False
    needs: tuple[str, ...] = ()
    shares: Mapping[str, int] = field(default_factory=dict)
    kind: ClassVar[str] = "alias"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``alias/<function>:live``."""
        return f"alias/{self.site.name}:{names.ALIAS}"

    @property
    def removal(self) -> str:
        """Removes it; the versions stay."""
        return f"aws lambda delete-alias --function-name {self.site.name} --name {names.ALIAS}"

    def desired(self) -> State:
        """The release that serves, and the percent of the requests that others get."""
        return {"serves": self.release, "shares": dict(self.shares)}

    def read(self) -> State | None:
        """As Lambda has it."""
        return None if self.site.empty else self._read()

    def _read(self) -> State | None:
        found = self.site.find("GetAlias", Name=names.ALIAS)
        if found is None:
            return None
        known = {r.version: r.release for r in find_releases(self.site)}
        serves, shares = shares_in(found)
        return {
            "serves": named(known, serves),
            "shares": {named(known, number): percent for number, percent in shares.items()},
        }

    def create(self, wish: State) -> None:
        """Make it; one that is there already is moved."""
        self.site.survey.spend()
        params = self._params(wish)
        if not made_or_there(lambda: self.site.call("CreateAlias", Name=names.ALIAS, **params)):
            self.update({}, wish)

    def update(self, actual: State, wish: State) -> None:
        """Move it, and wait until the copies that are kept running have followed."""
        self.site.survey.spend()
        params = self._params(wish)
        when_free(self.site, lambda: self.site.call("UpdateAlias", Name=names.ALIAS, **params))
        if self.is_provisioned:
            provisioned.await_ready(self.site)

    def _params(self, wish: State) -> dict[str, Any]:
        shares: Mapping[str, float] = wish["shares"]
        weights = {self._number(release): percent / 100 for release, percent in shares.items()}
        return {
            "FunctionVersion": self._number(wish["serves"]),
            "RoutingConfig": {"AdditionalVersionWeights": weights},
        }

    def _number(self, serves: str) -> str:
        if serves.startswith(NUMBERED):
            return serves.removeprefix(NUMBERED)
        if serves in self.site.numbers:
            return self.site.numbers[serves]
        for release in find_releases(self.site):
            if release.release == serves:
                return release.version
        raise NotFound(
            f"function {self.site.name!r} has no version of release {serves}",
            why="it was removed meanwhile",
            fix="deploy the model again",
        )

    def delete(self) -> None:
        """Remove it."""
        self.site.survey.spend()
        when_free(self.site, lambda: self.site.find("DeleteAlias", Name=names.ALIAS))


def shares_in(answer: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    """The main version of what GetAlias answers, and the percent of the requests that others get."""
    weights = (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    percents = {str(number): round(100 * float(weight), 4) for number, weight in weights.items()}
    return str(answer["FunctionVersion"]), {
        number: percent for number, percent in percents.items() if percent
    }


def named(releases: Mapping[str, str], number: str) -> str:
    """The release that a version is, by its number; versions that aren't ours are told by it."""
    return releases.get(number) or f"{NUMBERED}{number}"
