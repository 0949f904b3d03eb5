"""The deployment's images in Artifact Registry, each tagged with the digest of what it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from clouddeploy.engine import events
from clouddeploy.engine.resource import State
from clouddeploy.errors import NotFound, SpecError
from clouddeploy.packaging.images import ImageArtifact
from clouddeploy.packaging.images.blob import digest_of_bytes
from clouddeploy.providers.cloud_run.repository import make_repository, registry_ended
from clouddeploy.providers.cloud_run.site import Site
from clouddeploy.providers.gcp.faults import MISSING


@dataclass(frozen=True, slots=True)
class Version:
    """One image that is there: its manifest's digest, and its tags."""

    digest: str
    tags: frozenset[str]


def versions(site: Site) -> list[Version]:
    """The deployment's images; none without a repository."""
    asked = {"parent": site.package_name, "view": "FULL"}
    found: list[Version] = []
    while True:
        page = site.gcp.find("artifactregistry", "ListVersions", MISSING, **asked) or {}
        found += map(_version, page.get("versions") or ())
        if not page.get("nextPageToken"):
            return found
        asked["pageToken"] = page["nextPageToken"]


def _version(entry: Mapping[str, Any]) -> Version:
    tags = (str(tag.get("name", "")).rpartition("/")[2] for tag in entry.get("relatedTags") or ())
    return Version(str(entry["name"]).rpartition("/")[2], frozenset(tags))


@dataclass(frozen=True)
class Image:
    """An image, kept as long as a revision is made of it.

    Args:
        site: where it lives.
        tag: names it: 32 digits of what it was made of; or a manifest's digest, for one without a tag.
        artifact: what to send when it isn't there; None for one that is only kept or removed.
        needs: keys of what must exist before.
    """

    site: Site
    tag: str
    artifact: ImageArtifact | None = None
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "image"
    immutable: ClassVar[frozenset[str]] = frozenset({"tag"})

    @property
    def key(self) -> str:
        """``image/<repository>/<name>:<tag>``."""
        return f"image/{self.site.repository}/{self.site.name}:{self.tag}"

    @property
    def removal(self) -> str:
        """Removes it with its tags."""
        gcp = self.site.gcp
        mark = "@" if ":" in self.tag else ":"
        host = f"{gcp.region}-docker.pkg.dev"
        return f"gcloud artifacts docker images delete {host}/{self.site.path}{mark}{self.tag} --delete-tags"

    def desired(self) -> State:
        """The tag says everything."""
        return {"tag": self.tag}

    def read(self) -> State | None:
        """Whether it is there."""
        return None if self.site.empty or not self._found() else self.desired()

    def _found(self) -> list[Version]:
        return [v for v in versions(self.site) if self.tag in v.tags or self.tag == v.digest]

    def create(self, wish: State) -> None:
        """Build and send it; what is there already isn't sent again."""
        if self.artifact is None:
            raise SpecError(
                f"the image {self.tag[:10]} of {self.site.name!r} is gone",
                why="a kept release is brought back from there, and isn't built anew",
                fix="deploy the model again",
            )
        self.site.spend()
        try:
            self._push(self.artifact)
        except NotFound:
            make_repository(self.site)  # another deployment was the last in it, and took it away
            self._push(self.artifact)

    def _push(self, artifact: ImageArtifact) -> None:
        artifact.push(
            self.site.registry(),
            self.site.path,
            self.tag,
            report=partial(events.report, "sending"),
            building=partial(events.report, "packing"),
        )

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove it, and the package with the last of them."""
        site = self.site
        for version in self._found():
            name = f"{site.package_name}/versions/{version.digest}"
            begun = site.gcp.find("artifactregistry", "DeleteVersion", MISSING, name=name, force="true")
            if begun is not None:
                registry_ended(site, begun, f"image {version.digest[:19]} to be gone")
        if not versions(site):
            remove_package(site)


def remove_package(site: Site) -> None:
    """Remove what held the deployment's images; that it is gone already is success."""
    begun = site.gcp.find("artifactregistry", "DeletePackage", MISSING, name=site.package_name)
    if begun is not None:
        registry_ended(site, begun, f"package {site.name} to be gone")


def address(site: Site, tag: str) -> str:
    """The image's URI by its manifest's digest, which can't become another image.

    Raises:
        NotFound: it isn't there.
    """
    registry = site.registry()
    try:
        raw, _ = registry.manifest(site.path, tag)
    except NotFound as error:
        raise NotFound(
            f"the image {tag[:10]} of {site.name!r} is gone",
            why=f"{registry.host}/{site.path} has no such tag",
            fix="deploy the model again",
        ) from error
    return f"{registry.host}/{site.path}@{digest_of_bytes(raw)}"
