"""Revisions as what a deployment consists of, and those that are kept as releases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.providers.gcp.faults import MISSING
from clouddeploy.providers.gcp.run.revision import Revision
from clouddeploy.providers.gcp.run.site import RunSite
from clouddeploy.providers.gcp.run.traffic import shares_of


@dataclass(frozen=True)
class RunRevision:
    """The revisions that are one release.

    They come into being with the service's template; as a resource, what was made for a deploy that
    failed goes with it, after the template is back at what it was.

    Args:
        site: the service.
        release: which release.
        needs: keys of what must exist before.
    """

    site: RunSite
    release: str
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "revision"
    immutable: ClassVar[frozenset[str]] = frozenset({"release"})

    @property
    def key(self) -> str:
        """``revision/<service>-<release>``."""
        return f"revision/{self.site.name}-{self.release}"

    @property
    def removal(self) -> str:
        """Removes it; Cloud Run keeps the newest, and those that get requests."""
        return (
            f"gcloud run revisions delete {self.site.name}-{self.release} "
            f"--region {self.site.gcp.region} --project {self.site.gcp.project}"
        )

    def desired(self) -> State:
        """The release says everything."""
        return {"release": self.release}

    def read(self) -> State | None:
        """Whether there is one."""
        return self.desired() if self.found() else None

    def found(self) -> list[Revision]:
        """The revisions themselves."""
        return [r for r in self.site.revisions() if r.release == self.release]

    def create(self, wish: State) -> None:
        """Nothing: it comes with the service's template."""

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove them, and wait until they are gone."""
        self.site.spend()
        for revision in self.found():
            remove(self.site, revision.name)


def remove(site: RunSite, name: str) -> None:
    """Remove the revision `name`; that it is gone already is success."""
    full = f"{site.full_name}/revisions/{name}"
    begun = site.gcp.find("run", "DeleteRevision", MISSING, name=full)
    site.spend()
    if begun is not None:
        site.ended(begun, f"revision {name} to be gone")


def kept(site: RunSite) -> list[Revision]:
    """One revision for each release that can serve: those that get requests first, then newest first."""
    serving = shares_of(site.service() or {})
    found = [r for r in site.revisions() if r.release and r.ready is not False]
    found.sort(key=lambda r: -serving.get(r.name, 0))
    first: dict[str, Revision] = {}
    for revision in found:
        first.setdefault(revision.release, revision)
    return list(first.values())
