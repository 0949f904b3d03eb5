"""What is in a repository: images that builds of functions made, and those that were pushed.

A package is an image's name, a version one manifest of it. Pushed ones lie in the registry, which is
asked each time; of those that builds made there is only a note here, and the files that run.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from clouddeploy.emulator.google.call import now, part, stamp

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

OF_FUNCTIONS = "gcf-artifacts"


@dataclass(frozen=True)
class Version:
    """One version: its manifest's digest, its tags and when it came."""

    digest: str
    tags: Sequence[str]
    created: str


@dataclass
class Package:
    """What builds made under one name, by digest, the oldest first."""

    name: str
    created: str
    count: int = 0
    versions: dict[str, Version] = field(default_factory=dict)


def pushed(cloud: Google, repository: str, function: str) -> str:
    """Note that a build made an image of a function; its URI.

    Args:
        repository: the full name of the one that functions have.
        function: the function's full name.
    """
    project, region, identity = function.split("/")[1::2]
    name = f"{repository}/packages/{'__'.join(x.replace('-', '--') for x in (project, region, identity))}"
    with cloud.lock:
        package = cloud.packages.setdefault(name, Package(name, now()))
        package.count += 1
        digest = f"sha256:{hashlib.sha256(uuid.uuid4().bytes).hexdigest()}"
        made = package.versions[digest] = Version(digest, (f"version_{package.count}",), now())
    return f"{address(name)}:{made.tags[0]}"


def address(package: str) -> str:
    """A package's URI, without tag and digest."""
    project, region, repository = (part(package, k) for k in ("projects", "locations", "repositories"))
    return f"{region}-docker.pkg.dev/{project}/{repository}/{unquote(package.rpartition('/')[2])}"


def names(cloud: Google, repository: str) -> list[str]:
    """Full names of a repository's packages."""
    start = f"{repository}/packages/"
    found = {name for name in list(cloud.packages) if name.startswith(start)}
    mark = _stored(repository) + "/"
    for name, held in cloud.stored().items():
        if name.startswith(mark) and held.manifests:
            found.add(start + quote(name.removeprefix(mark), safe=""))
    return sorted(found)


def versions(cloud: Google, package: str) -> list[Version]:
    """A package's versions, the newest first; none where there is no such package."""
    known = cloud.packages.get(package)
    found = list(known.versions.values()) if known else []
    held = cloud.stored().get(_image(package))
    for digest, manifest in dict(held.manifests).items() if held else ():
        assert held is not None
        found.append(Version(digest, tuple(held.tags_of(digest)), stamp(manifest.pushed_at)))
    return found[::-1]


def remove(cloud: Google, package: str, digest: str) -> None:
    """Remove a version; a package without any is gone."""
    with cloud.lock:
        known = cloud.packages.get(package)
        gone = known.versions.pop(digest, None) if known else None
        for tag in gone.tags if gone else ():
            cloud.images.drop(f"{address(package)}:{tag}")
        if known is not None and not known.versions:
            del cloud.packages[package]
    if cloud.registry is not None:
        cloud.registry.remove(_image(package), digest)


def remove_all(cloud: Google, package: str) -> None:
    """Remove a package with all its versions."""
    for version in versions(cloud, package):
        remove(cloud, package, version.digest)
    if cloud.registry is not None:
        cloud.registry.drop(_image(package))


def _stored(repository: str) -> str:
    """What the registry calls the start of all names in a repository."""
    return f"{part(repository, 'projects')}/{part(repository, 'repositories')}"


def _image(package: str) -> str:
    return f"{_stored(package)}/{unquote(package.rpartition('/')[2])}"
