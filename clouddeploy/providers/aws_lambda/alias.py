"""The alias that callers use: it points to the version that serves, and moving it is the update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    """

    site: Site
    release: str
    is_provisioned: bool = False
    needs: tuple[str, ...] = ()
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
        """The release that serves, and no other that gets a share of the requests."""
        return {"serves": self.release, "shares": {}}

    def read(self) -> State | None:
        """As Lambda has it."""
        return None if self.site.empty else self._read()

    def _read(self) -> State | None:
        found = self.site.find("GetAlias", Name=names.ALIAS)
        if found is None:
            return None
        known = {r.version: r.release for r in find_releases(self.site)}
        number = str(found["FunctionVersion"])
        shares = (found.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        return {"serves": known.get(number) or f"{NUMBERED}{number}", "shares": dict(shares)}

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
        return {
            "FunctionVersion": self._number(wish["serves"]),
            "RoutingConfig": {"AdditionalVersionWeights": dict(shares)},
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
