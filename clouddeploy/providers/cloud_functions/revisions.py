"""Revisions as releases: what comes with the function, and what is too much of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.providers.cloud_functions.following import NEWEST, removable
from clouddeploy.providers.cloud_functions.site import Site
from clouddeploy.providers.gcp.faults import MISSING
from clouddeploy.providers.gcp.run.revision import Revision, short
from clouddeploy.providers.gcp.run.revisions import remove
from clouddeploy.providers.gcp.run.traffic import shares_of

KEPT_BY_CLOUD_RUN = frozenset({"FAILED_PRECONDITION", "INVALID_ARGUMENT", "400"})
"""How the removal of a service's newest revision is refused."""


@dataclass(frozen=True)
class ReleaseRevision:
    """The revisions of one release. They are made with the function; as a resource, they are only removed.

    Args:
        site: where they live.
        release: which release.
        needs: keys of what must exist before.
    """

    site: Site
    release: str
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "revision"
    immutable: ClassVar[frozenset[str]] = frozenset({"release"})

    @property
    def key(self) -> str:
        """``revision/<function>-<release>``."""
        return f"revision/{self.site.name}-{self.release}"

    @property
    def removal(self) -> str:
        """Removes it, once its name is known."""
        where = f"--region {self.site.gcp.region} --project {self.site.gcp.project}"
        return (
            f"gcloud run revisions delete <the revision with CLOUDDEPLOY_RELEASE={self.release} in: "
            f"gcloud run revisions list --service {self.site.name} {where}> {where}"
        )

    def desired(self) -> State:
        """The release says everything."""
        return {"release": self.release}

    def read(self) -> State | None:
        """Whether there is one that can serve."""
        if self.site.empty:
            return None
        return self.desired() if any(r.ready is not False for r in self._found()) else None

    def _found(self) -> list[Revision]:
        return [r for r in self.site.run.revisions() if r.release == self.release]

    def create(self, wish: State) -> None:
        """Nothing: it comes with the function."""

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove them; Cloud Run itself keeps a service's newest one, which then never serves."""
        self.site.run.spend()
        newest = _newest(self.site)
        served = shares_of(self.site.run.service() or {})
        for revision in self._found():
            if revision.name in newest and revision.name not in served:
                path = f"{self.site.run.full_name}/revisions/{revision.name}"
                begun = self.site.gcp.find("run", "DeleteRevision", MISSING | KEPT_BY_CLOUD_RUN, name=path)
                if begun is not None:
                    self.site.run.ended(begun, f"revision {revision.name} to be gone")
            elif revision.name not in served:
                remove(self.site.run, revision.name)
        self.site.run.spend()


def _newest(site: Site) -> set[str]:
    service = site.run.service() or {}
    return {short(str(service.get(field, ""))) for field in NEWEST}


@dataclass(frozen=True)
class Superseded:
    """Revisions of a release that have a newer one of the same release, or could never serve.

    Args:
        site: where they live.
        release: which release.
    """

    site: Site
    release: str
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "superseded revision"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``superseded-revision/<function>-<release>``."""
        return f"superseded-revision/{self.site.name}-{self.release}"

    @property
    def removal(self) -> str:
        """Removes one, once its name is known."""
        return ReleaseRevision(self.site, self.release).removal

    def desired(self) -> State:
        """There are none."""
        return {"names": []}

    def read(self) -> State | None:
        """Their names; None without any."""
        found = superseded(self.site, self.release, self.site.run.revisions())
        return {"names": sorted(found)} if found else None

    def create(self, wish: State) -> None:
        """Nothing."""

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove those that get no requests."""
        self.site.run.spend()
        for name in superseded(self.site, self.release, self.site.run.revisions()):
            remove(self.site.run, name)


def superseded(site: Site, release: str, revisions: Collection[Revision]) -> list[str]:
    """Names of the revisions of `release` that can go: all but those in use, and one that can serve."""
    mine = [r for r in revisions if r.release == release]
    spare = removable(site, {r.name for r in mine})
    in_use = [r for r in mine if r.name not in spare and r.ready is not False]
    if not in_use:
        first = next((r.name for r in mine if r.ready is not False), "")
        spare = [name for name in spare if name != first]
    return spare
