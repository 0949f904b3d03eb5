"""Images of revisions that are gone: each build leaves one in Artifact Registry."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.providers.cloud_functions import names
from clouddeploy.providers.cloud_functions.site import Site
from clouddeploy.providers.gcp.faults import MISSING
from clouddeploy.providers.gcp.run.operation import ended
from clouddeploy.providers.gcp.run.revision import Revision


@dataclass(frozen=True)
class UnusedImages:
    """Versions of the function's package that no revision runs.

    Args:
        site: where the function lives.
        repository: full name of a repository of the user's; empty for the one that Google makes.
    """

    site: Site
    repository: str = ""
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "unused images"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``unused-images/<function>``."""
        return f"unused-images/{self.site.name}"

    @property
    def removal(self) -> str:
        """Removes one, once its digest is known."""
        gcp = self.site.gcp
        package = max(names.builds_of(gcp.project, gcp.region, self.site.name), key=len)
        repository = parent_of(self.site, self.repository).rpartition("/")[2]
        return (
            f"gcloud artifacts versions delete <a version that no revision runs> --package {package} "
            f"--repository {repository} --location {gcp.region} --project {gcp.project} --delete-tags"
        )

    def desired(self) -> State:
        """There are none."""
        return {"versions": []}

    def read(self) -> State | None:
        """Their names; None without any."""
        found = self._found()
        return {"versions": found} if found else None

    def _found(self) -> list[str]:
        return [
            version["name"]
            for version in _versions(self.site, self.repository)
            if not _is_used(version, self.site.run.revisions())
        ]

    def create(self, wish: State) -> None:
        """Nothing."""

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove them."""
        self.site.run.spend()
        for name in self._found():
            params = {"name": name, "force": "true"}
            begun = self.site.gcp.find("artifactregistry", "DeleteVersion", MISSING, **params)
            await_removal(self.site, begun, f"an unused image of {self.site.name} to be gone")


def parent_of(site: Site, repository: str) -> str:
    """The repository that builds of the function are pushed to."""
    return repository or f"{site.gcp.location}/repositories/{names.BUILDS}"


def await_removal(site: Site, begun: Mapping[str, Any] | None, what: str) -> None:
    """Wait for an operation of Artifact Registry, if one was begun."""
    if begun and begun.get("name"):
        poll_s, timeout_s = site.poll_s, site.timeout_s
        ended(site.gcp, begun, what=what, poll_s=poll_s, timeout_s=timeout_s, of="artifactregistry")


def _versions(site: Site, repository: str) -> list[dict[str, Any]]:
    """The versions of the package; the newer form of its name is tried first."""
    for package in sorted(names.builds_of(site.gcp.project, site.gcp.region, site.name), key=len)[::-1]:
        found: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            page = site.gcp.find(
                "artifactregistry",
                "ListVersions",
                MISSING,
                parent=f"{parent_of(site, repository)}/packages/{package}",
                view="FULL",
                **token,
            )
            found += (page or {}).get("versions") or ()
            if not (page or {}).get("nextPageToken"):
                break
            token = {"pageToken": str((page or {})["nextPageToken"])}
        if found:
            return found
    return []


def _is_used(version: Mapping[str, Any], revisions: Collection[Revision]) -> bool:
    """Whether a revision runs this version, named by its digest or by one of its tags."""
    digest = f"@{version['name'].rpartition('/')[2]}"
    tags = tuple(f":{t['name'].rpartition('/')[2]}" for t in version.get("relatedTags") or ())
    images = [str(c.get("image", "")) for r in revisions for c in r.shape.get("containers") or ()]
    return any(image.endswith((digest, *tags)) for image in images)
