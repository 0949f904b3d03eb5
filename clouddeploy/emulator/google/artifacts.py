"""Artifact Registry: repositories, and the images that builds of functions leave in them (API v1)."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google import packages
from clouddeploy.emulator.google.call import Call, now
from clouddeploy.emulator.google.errors import ApiError, invalid, missing
from clouddeploy.emulator.google.listing import page
from clouddeploy.emulator.google.operations import EMPTY, Operation

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

TYPE = "type.googleapis.com/google.devtools.artifactregistry.v1."
ID = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
MESSAGES = {
    "Repository": """
        name format:=FORMAT_UNSPECIFIED|DOCKER|MAVEN|NPM description labels:map createTime updateTime
        kmsKeyName mode cleanupPolicies:any sizeBytes:int64 cleanupPolicyDryRun:bool dockerConfig:any
        registryUri vulnerabilityScanningConfig:any
    """
}


def functions_repository(cloud: Google, project: str, region: str) -> str:
    """The repository that Cloud Functions make for themselves in a project and region; its name."""
    name = f"projects/{project}/locations/{region}/repositories/{packages.OF_FUNCTIONS}"
    cloud.repositories.setdefault(
        name,
        _repository(name, {"labels": {"goog-managed-by": "cloudfunctions"}, "format": "DOCKER"}),
    )
    return name


def create(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.repositories.create``"""
    identity = call.query.get("repositoryId", "")
    if not ID.fullmatch(identity):
        raise invalid(f"invalid repository_id {identity!r}", "repository_id")
    name = f"{call.name}/repositories/{identity}"
    if name in cloud.repositories:
        raise ApiError("ALREADY_EXISTS", "the repository already exists")
    made = cloud.repositories[name] = _repository(name, call.body)
    shown = {"@type": f"{TYPE}Repository", **made}
    return cloud.begin(call.name, {"@type": f"{TYPE}OperationMetadata"}, lambda _: shown).describe()


def get(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.repositories.get``"""
    return copy.deepcopy(_find(cloud, call.name))


def list_all(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.repositories.list``"""
    found = [r for n, r in sorted(cloud.repositories.items()) if n.startswith(f"{call.name}/repositories/")]
    return page(call, "repositories", found)


def patch(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.repositories.patch``"""
    found = _find(cloud, call.name)
    found.update({k: v for k, v in call.body.items() if k in ("description", "labels", "cleanupPolicies")})
    found["updateTime"] = now()
    return copy.deepcopy(found)


def delete(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.repositories.delete``: with all that is in it."""
    _find(cloud, call.name)

    def work(_: Operation) -> dict[str, Any]:
        cloud.repositories.pop(call.name, None)
        for name in packages.names(cloud, call.name):
            packages.remove_all(cloud, name)
        cloud.policies.drop(call.name)
        return dict(EMPTY)

    return _begin(cloud, call, work)


def list_packages(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.repositories.packages.list``"""
    _find(cloud, call.name)
    found = []
    for name in packages.names(cloud, call.name):
        times = [v.created for v in packages.versions(cloud, name)] or [now()]
        found.append({"name": name, "createTime": min(times), "updateTime": max(times)})
    return page(call, "packages", found)


def delete_package(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.repositories.packages.delete``"""
    _versions(cloud, call.name)

    def work(_: Operation) -> dict[str, Any]:
        packages.remove_all(cloud, call.name)
        return dict(EMPTY)

    return _begin(cloud, call, work)


def list_versions(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.repositories.packages.versions.list``, the newest first."""
    found = []
    for version in _versions(cloud, call.name):
        name = f"{call.name}/versions/{version.digest}"
        entry: dict[str, Any] = {"name": name, "createTime": version.created, "updateTime": version.created}
        if call.query.get("view") == "FULL":
            entry["relatedTags"] = [{"name": f"{call.name}/tags/{t}", "version": name} for t in version.tags]
        found.append(entry)
    return page(call, "versions", found)


def delete_version(cloud: Google, call: Call) -> dict[str, Any]:
    """``…packages.versions.delete``: only with ``force`` while a tag names it."""
    package, _, digest = call.name.rpartition("/versions/")
    version = next((v for v in _versions(cloud, package) if v.digest == digest), None)
    if version is None:
        raise missing(call.name)
    if version.tags and not call.flag("force"):
        raise ApiError("FAILED_PRECONDITION", f"version {digest} has tags; use force to delete it anyway")

    def work(_: Operation) -> dict[str, Any]:
        packages.remove(cloud, package, digest)
        return dict(EMPTY)

    return _begin(cloud, call, work)


def list_images(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.repositories.dockerImages.list``"""
    _find(cloud, call.name)
    found = [
        {
            "name": f"{call.name}/dockerImages/{name.rpartition('/')[2]}@{version.digest}",
            "uri": f"{packages.address(name)}@{version.digest}",
            "tags": list(version.tags),
            "uploadTime": version.created,
            "updateTime": version.created,
        }
        for name in packages.names(cloud, call.name)
        for version in packages.versions(cloud, name)
    ]
    return page(call, "dockerImages", found)


def _versions(cloud: Google, package: str) -> list[packages.Version]:
    found = packages.versions(cloud, package)
    if not found:
        raise missing(package)
    return found


def _repository(name: str, given: Any) -> dict[str, Any]:
    at = now()
    kept = {k: v for k, v in given.items() if k not in ("name", "createTime", "updateTime", "sizeBytes")}
    return {"name": name, "mode": "STANDARD_REPOSITORY", **kept, "createTime": at, "updateTime": at}


def _find(cloud: Google, name: str) -> dict[str, Any]:
    found = cloud.repositories.get(name)
    if found is None:
        raise unknown(name)
    return found


def unknown(name: str) -> ApiError:
    """A 404 for a repository."""
    return ApiError("NOT_FOUND", f'Repository "{name}" not found')


def _begin(cloud: Google, call: Call, work: Any) -> dict[str, Any]:
    parent = call.name.partition("/repositories/")[0]
    return cloud.begin(parent, {"@type": f"{TYPE}OperationMetadata"}, work).describe()
