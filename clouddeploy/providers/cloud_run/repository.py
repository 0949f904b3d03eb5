"""The Artifact Registry repository that images lie in: one for a project and region, shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudError, NameConflict
from clouddeploy.providers.cloud_run import names
from clouddeploy.providers.cloud_run.site import Site
from clouddeploy.providers.gcp.faults import EXISTS, MISSING, matches
from clouddeploy.providers.gcp.run.operation import ended
from clouddeploy.providers.gcp.survey import listing


@dataclass(frozen=True)
class Repository:
    """The repository as a resource. Other deployments may use it, so it is removed only when empty.

    Args:
        site: where it lives.
        needs: keys of what must exist before.
    """

    site: Site
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "repository"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``repository/<id>``."""
        return f"repository/{self.site.repository}"

    @property
    def removal(self) -> str:
        """Removes it with all images in it."""
        return (
            f"gcloud artifacts repositories delete {self.site.repository} "
            f"--location {self.site.gcp.region} --project {self.site.gcp.project}"
        )

    def desired(self) -> State:
        """The name is all there is."""
        return {"name": self.site.repository}

    def read(self) -> State | None:
        """Whether it is there.

        Raises:
            NameConflict: it is, and isn't ours.
        """
        return None if self.site.empty else self._read()

    def _read(self) -> State | None:
        found = find_repository(self.site)
        if found is None:
            return None
        if not is_ours(found):
            label, value = names.REPOSITORY_LABEL
            raise NameConflict(
                f"repository {self.site.repository!r} exists and isn't clouddeploy's",
                why=f"it has no label {label}={value}",
                fix=f"to use it as it is, give repository={self.site.repository!r}",
            )
        return self.desired()

    def create(self, wish: State) -> None:
        """Make it; that it is there and ours already is success."""
        self.site.spend()
        if not make_repository(self.site):
            self._read()

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove it unless other deployments have images in it, or are about to.

        Each deployment has a lock in the bucket from before its first image until after its last.
        """
        found = find_repository(self.site)
        if found is None or not is_ours(found) or others(self.site):
            return
        gcp = self.site.gcp
        begun = gcp.find("artifactregistry", "DeleteRepository", MISSING, name=self.site.repository_name)
        if begun is not None:
            registry_ended(self.site, begun, f"repository {self.site.repository} to be gone")


def find_repository(site: Site) -> dict[str, Any] | None:
    """As Artifact Registry has it."""
    return site.gcp.find("artifactregistry", "GetRepository", MISSING, name=site.repository_name)


def is_ours(found: Mapping[str, Any]) -> bool:
    """Whether a repository of the API was made by clouddeploy."""
    label, value = names.REPOSITORY_LABEL
    return (found.get("labels") or {}).get(label) == value


def others(site: Site) -> bool:
    """Whether another deployment uses the repository."""
    packages = site.gcp.pages("artifactregistry", "ListPackages", "packages", parent=site.repository_name)
    if any(p["name"] != site.package_name for p in packages):
        return True
    locks = listing(site.gcp, site.survey.bucket, names.PREFIX) or {}
    return any(not key.startswith(site.survey.prefix) for key in locks)


def make_repository(site: Site) -> bool:
    """Create it; False when it is there already."""
    label, value = names.REPOSITORY_LABEL
    wish = {"format": "DOCKER", "description": "Images of clouddeploy", "labels": {label: value}}
    try:
        begun = site.gcp(
            "artifactregistry",
            "CreateRepository",
            parent=site.gcp.location,
            repositoryId=site.repository,
            body=wish,
        )
    except CloudError as error:
        if not matches(error, EXISTS):
            raise
        return False
    registry_ended(site, begun, f"repository {site.repository} to be made")
    return True


def registry_ended(site: Site, begun: Mapping[str, Any], what: str) -> None:
    """Wait for an operation of Artifact Registry."""
    run = site.run
    ended(site.gcp, begun, what=what, poll_s=run.poll_s, timeout_s=run.timeout_s, of="artifactregistry")
