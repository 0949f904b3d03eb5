"""Projects, the locations of products, and which APIs are enabled (Resource Manager, Service Usage)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google.call import Call, number, part
from clouddeploy.emulator.google.errors import RPC, ApiError, info
from clouddeploy.emulator.google.listing import page

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

ID = re.compile(r"[a-z](?:[-a-z0-9]{0,28}[a-z0-9])?|\d{6,20}")
HOSTS = {
    "functions": ("cloudfunctions.googleapis.com", "Cloud Functions API"),
    "run": ("run.googleapis.com", "Cloud Run Admin API"),
    "storage": ("storage.googleapis.com", "Cloud Storage"),
    "iam": ("iam.googleapis.com", "Identity and Access Management (IAM) API"),
    "logging": ("logging.googleapis.com", "Cloud Logging API"),
    "monitoring": ("monitoring.googleapis.com", "Cloud Monitoring API"),
    "secretmanager": ("secretmanager.googleapis.com", "Secret Manager API"),
    "artifactregistry": ("artifactregistry.googleapis.com", "Artifact Registry API"),
    "resourcemanager": ("cloudresourcemanager.googleapis.com", "Cloud Resource Manager API"),
    "serviceusage": ("serviceusage.googleapis.com", "Service Usage API"),
}
# "Cloud Run locations"; functions of the second generation are to be had in the same.
REGIONS = (
    "africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3",
    "asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2", "australia-southeast1",
    "australia-southeast2", "europe-central2", "europe-north1", "europe-north2", "europe-southwest1",
    "europe-west1", "europe-west10", "europe-west12", "europe-west2", "europe-west3", "europe-west4",
    "europe-west6", "europe-west8", "europe-west9", "me-central1", "me-central2", "me-west1",
    "northamerica-northeast1", "northamerica-northeast2", "northamerica-south1", "southamerica-east1",
    "southamerica-west1", "us-central1", "us-east1", "us-east4", "us-east5", "us-south1", "us-west1",
    "us-west2", "us-west3", "us-west4",
)  # fmt: skip


def admit(cloud: Google, service: str, name: str) -> None:
    """Refuse a call about a project, API or region that isn't to be had.

    Args:
        service: as in `Call`.
        name: the resource of the call's path.

    Raises:
        ApiError: as Google's front end refuses.
    """
    project = part(name, "projects")
    if project and project != "-":
        exists(cloud, project)
        enabled(cloud, service, project)
    region = part(name, "locations")
    known = region in REGIONS and region not in cloud.google.unavailable_regions
    if region and region not in ("-", "global") and not known:
        raise _no_region(service, project, region)


def exists(cloud: Google, project: str) -> None:
    """Refuse a project that isn't there or isn't the caller's; the two can't be told apart.

    Raises:
        ApiError: PERMISSION_DENIED.
    """
    known = cloud.google.projects
    numbers = {number(p) for p in known}
    if ID.fullmatch(project) and (not known or project in known or project in numbers):
        return
    consumer = f"projects/{project}"
    message = f"Permission denied on resource project {project}."
    help_ = {
        "@type": f"{RPC}Help",
        "links": [
            {
                "description": "Google developers console",
                "url": "https://console.developers.google.com",
            }
        ],
    }
    raise ApiError(
        "PERMISSION_DENIED", message, help_, info("CONSUMER_INVALID", "googleapis.com", consumer=consumer)
    )


def enabled(cloud: Google, service: str, project: str) -> None:
    """Refuse a call of an API that is disabled.

    Raises:
        ApiError: SERVICE_DISABLED.
    """
    host, title = HOSTS[service]
    if host not in cloud.google.disabled_apis:
        return
    url = f"https://console.developers.google.com/apis/api/{host}/overview?project={project}"
    message = (
        f"{title} has not been used in project {project} before or it is disabled. Enable it by visiting "
        f"{url} then retry. If you enabled this API recently, wait a few minutes for the action to propagate "
        "to our systems and retry."
    )
    metadata = {
        "service": host,
        "consumer": f"projects/{project}",
        "serviceTitle": title,
        "containerInfo": project,
        "activationUrl": url,
    }
    raise ApiError(
        "PERMISSION_DENIED",
        message,
        info("SERVICE_DISABLED", "googleapis.com", **metadata),
        {"@type": f"{RPC}LocalizedMessage", "locale": "en-US", "message": message},
        {
            "@type": f"{RPC}Help",
            "links": [{"description": "Google developers console API activation", "url": url}],
        },
    )


def _no_region(service: str, project: str, region: str) -> ApiError:
    message = f"Permission denied on 'locations/{region}' (or it may not exist)."
    metadata = {"consumer": f"projects/{project}", "location": region, "service": HOSTS[service][0]}
    return ApiError(
        "PERMISSION_DENIED",
        message,
        info("LOCATION_POLICY_VIOLATED", "googleapis.com", **metadata),
        {"@type": f"{RPC}LocalizedMessage", "locale": "en-US", "message": message},
    )


def locations(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.locations.list``"""
    found = [
        {
            "name": f"{call.name}/locations/{region}",
            "locationId": region,
            "metadata": {
                "@type": "type.googleapis.com/google.cloud.functions.v2.LocationMetadata",
                "environments": ["GEN_1", "GEN_2"],
            },
        }
        for region in REGIONS
        if region not in cloud.google.unavailable_regions
    ]
    return page(call, "locations", found)


def get(_cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.get`` of Resource Manager v3 (and of v1, which says some in other words)."""
    project = call.project
    return {
        "name": f"projects/{number(project)}",
        "projectId": project,
        "projectNumber": number(project),
        "state": "ACTIVE",
        "lifecycleState": "ACTIVE",
        "displayName": project,
    }


def usage(cloud: Google, call: Call) -> dict[str, Any]:
    """``services.get`` of Service Usage"""
    host = call.id
    title = next((t for h, t in HOSTS.values() if h == host), host)
    return {
        "name": f"projects/{number(call.project)}/services/{host}",
        "config": {"name": host, "title": title},
        "state": "DISABLED" if host in cloud.google.disabled_apis else "ENABLED",
        "parent": f"projects/{number(call.project)}",
    }
