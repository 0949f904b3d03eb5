"""What Cloud Functions builds of the source: images in Artifact Registry, which outlive the function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.providers.cloud_functions import names
from clouddeploy.providers.cloud_functions.images import await_removal, parent_of
from clouddeploy.providers.cloud_functions.site import Site
from clouddeploy.providers.gcp.faults import MISSING


@dataclass(frozen=True)
class BuildArtifacts:
    """The package with a function's images. Builds make it; as a resource, it is only removed.

    Args:
        site: where the function lives.
        repository: full name of a repository of the user's; empty for the one that Google makes.
        needs: keys of what must exist before.
    """

    site: Site
    repository: str = ""
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "build artifacts"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``build-artifacts/<function>``."""
        return f"build-artifacts/{self.site.name}"

    @property
    def removal(self) -> str:
        """Removes the newer form of the package."""
        gcp = self.site.gcp
        package = max(names.builds_of(gcp.project, gcp.region, self.site.name), key=len)
        return (
            f"gcloud artifacts packages delete {package} --repository {self._parent.rpartition('/')[2]} "
            f"--location {gcp.region} --project {gcp.project}"
        )

    @property
    def _parent(self) -> str:
        return parent_of(self.site, self.repository)

    def desired(self) -> State:
        """That builds made some."""
        return {"made_by": "builds"}

    def read(self) -> State | None:
        """Taken for there while a function is; else looked for."""
        if self.site.empty:
            return None
        there = self.site.seen is not None and not self.site.survey.spent
        return self.desired() if there or self._found() else None

    def _found(self) -> list[str]:
        gcp = self.site.gcp
        mine = names.builds_of(gcp.project, gcp.region, self.site.name)
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = gcp.find("artifactregistry", "ListPackages", MISSING, parent=self._parent, **token)
            found += [p["name"] for p in (page or {}).get("packages") or () if _owner(p) in mine]
            if not (page or {}).get("nextPageToken"):
                return found
            token = {"pageToken": str((page or {})["nextPageToken"])}

    def create(self, wish: State) -> None:
        """Nothing: builds make them."""

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove the package with all its images."""
        self.site.spend()
        for name in self._found():
            begun = self.site.gcp.find("artifactregistry", "DeletePackage", MISSING, name=name)
            await_removal(self.site, begun, f"build artifacts of {self.site.name} to be gone")


def _owner(package: Mapping[str, Any]) -> str:
    """The function's own package that `package` is, or lies below, such as its cache (``…%2Fcache``)."""
    return str(package.get("name", "")).rpartition("/")[2].partition("%2F")[0]
