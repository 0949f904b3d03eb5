"""Revisions of a Cloud Run service ("REST Resource: projects.locations.services.revisions")."""

from __future__ import annotations

import copy
import secrets
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google.call import Call, etag, now
from clouddeploy.emulator.google.errors import ApiError, missing
from clouddeploy.emulator.google.listing import page
from clouddeploy.emulator.google.run import conditions, traffic

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

LETTERS = "bcdfghjklmnpqrstvwxz"
TYPE = "type.googleapis.com/google.cloud.run.v2.Revision"
COPIED = (
    "scaling", "vpcAccess", "timeout", "serviceAccount", "containers", "volumes", "executionEnvironment",
    "maxInstanceRequestConcurrency", "sessionAffinity", "nodeSelector", "gpuZonalRedundancyDisabled",
    "annotations",
)  # fmt: skip


def of(cloud: Google, service: str) -> dict[str, dict[str, Any]]:
    """A service's revisions by short name, the oldest first."""
    start = f"{service}/revisions/"
    return {n.removeprefix(start): r for n, r in list(cloud.revisions.items()) if n.startswith(start)}


def make(cloud: Google, service: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a revision by the service's template: a new one, which runs nowhere yet, or the one
    that the template names, if its settings are these very ones.

    Raises:
        ApiError: the template names a revision that exists with other settings.
    """
    template = service["template"]
    short = service["name"].rpartition("/")[2]
    cloud.made[service["name"]] += 1
    count = cloud.made[service["name"]]
    tail = "".join(secrets.choice(LETTERS) for _ in range(3))
    name = f"{service['name']}/revisions/{template.get('revision') or f'{short}-{count:05d}-{tail}'}"
    known = cloud.revisions.get(name)
    if known is not None and all(known.get(k) == template.get(k) for k in COPIED if k != "annotations"):
        return known
    if known is not None:
        raise ApiError(
            "ALREADY_EXISTS",
            f"Revision named '{name.rpartition('/')[2]}' with different configuration already exists.",
        )
    at = now()
    made = {
        "name": name,
        "uid": str(uuid.uuid4()),
        "generation": "1",
        "labels": {**service.get("labels", {}), **template.get("labels", {})},
        "createTime": at,
        "updateTime": at,
        "launchStage": "GA",
        "service": short,
        **{k: copy.deepcopy(template[k]) for k in COPIED if k in template},
        "reconciling": True,
        "conditions": [conditions.condition("Ready", "CONDITION_RECONCILING")],
        "observedGeneration": "1",
        "logUri": _log_uri(name),
        "creator": service.get("lastModifier", ""),
        "etag": etag(),
    }
    cloud.revisions[name] = made
    return made


def settle(revision: dict[str, Any], error: ApiError | None = None) -> None:
    """Mark a revision as ready, or as failed for good."""
    state = "CONDITION_FAILED" if error else "CONDITION_SUCCEEDED"
    message = error.message if error else ""
    reason = {"revisionReason": "HEALTH_CHECK_CONTAINER_ERROR"} if error else {}
    revision["conditions"] = [
        {**conditions.condition(kind, state, message), **reason}
        for kind in ("Ready", "ContainerHealthy", "ResourcesAvailable")
    ]
    revision["reconciling"] = False
    revision["updateTime"] = now()
    revision["etag"] = etag()


def refuse_failed(revision: Mapping[str, Any]) -> None:
    """Refuse a revision that failed for good.

    Raises:
        ApiError: why it did.
    """
    ready = revision["conditions"][0]
    if ready["state"] == "CONDITION_FAILED":
        raise ApiError("FAILED_PRECONDITION", ready.get("message", ""))


def get(cloud: Google, call: Call) -> dict[str, Any]:
    """``run.projects.locations.services.revisions.get``"""
    found = cloud.revisions.get(call.name)
    if found is None:
        raise missing(call.name)
    return copy.deepcopy(found)


def list_all(cloud: Google, call: Call) -> dict[str, Any]:
    """``run.projects.locations.services.revisions.list``, the newest first; ``-`` is every service."""
    project, region, service = call.name.split("/")[1::2]
    found = [
        copy.deepcopy(r)
        for n, r in list(cloud.revisions.items())
        if n.startswith(f"projects/{project}/locations/{region}/services/")
        and service in ("-", n.split("/")[5])
    ]
    return page(call, "revisions", found[::-1])


def delete(cloud: Google, call: Call) -> dict[str, Any]:
    """``run.projects.locations.services.revisions.delete``: not while requests can reach it.

    Raises:
        ApiError: there is none, or it serves.
    """
    found = get(cloud, call)
    name = call.name.rpartition("/")[2]
    service = cloud.services.get(call.name.rpartition("/revisions/")[0], {})
    serving = any(t.get("revision") == name for t in traffic.statuses(service))
    if serving or service.get("latestCreatedRevision") == call.name:
        raise ApiError(
            "FAILED_PRECONDITION",
            f"Revision '{name}' cannot be directly deleted, because it is currently serving traffic or is "
            "the latest created revision of its service.",
        )

    if call.query.get("etag", found["etag"]) != found["etag"]:
        raise ApiError("ABORTED", f"The etag of '{call.name}' is {found['etag']}, not the one given.")

    def work(_: object) -> dict[str, Any]:
        if not call.flag("validateOnly"):
            remove(cloud, call.name)
        return {"@type": TYPE, **found}

    parent = call.name.partition("/services/")[0]
    return cloud.begin(parent, {"@type": TYPE, **found}, work).describe()


def remove(cloud: Google, name: str) -> None:
    """End a revision's instances and forget it."""
    if cloud.revisions.pop(name, None) is not None:
        cloud.started.discard(name)
        cloud.plane.remove(name)


def _log_uri(name: str) -> str:
    project, region, service, revision = name.split("/")[1::2]
    return (
        f"https://console.cloud.google.com/logs/viewer?project={project}&resource=cloud_run_revision/"
        f"service_name/{service}/revision_name/{revision}&advancedFilter=resource.type%3D%22"
        f"cloud_run_revision%22%0Aresource.labels.service_name%3D%22{service}%22%0Aresource.labels."
        f"revision_name%3D%22{revision}%22%0Aresource.labels.location%3D%22{region}%22"
    )
