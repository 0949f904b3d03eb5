"""A function's Cloud Run service: its template by the function's settings, and what is shown of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google.call import part
from clouddeploy.emulator.google.errors import ApiError
from clouddeploy.emulator.google.run import services, traffic
from clouddeploy.emulator.google.run.rollout import roll_out

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

INGRESS = {
    "ALLOW_ALL": "INGRESS_TRAFFIC_ALL",
    "ALLOW_INTERNAL_ONLY": "INGRESS_TRAFFIC_INTERNAL_ONLY",
    "ALLOW_INTERNAL_AND_GCLB": "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
}


def service_name(function: str) -> str:
    """The name of a function's service."""
    return function.replace("/functions/", "/services/")


def wished(function: Mapping[str, Any], image: str, current: Mapping[str, Any] | None) -> dict[str, Any]:
    """The service that the function wants, all of it.

    Args:
        function: filled.
        image: what its build made.
        current: the service as it is, whose traffic may be kept.
    """
    config = function["serviceConfig"]
    labels = {**function.get("labels", {}), "goog-managed-by": "cloudfunctions"}
    template: dict[str, Any] = {
        "labels": labels,
        "annotations": {"cloudfunctions.googleapis.com/trigger-type": _trigger(function)},
        "timeout": f"{config['timeoutSeconds']}s",
        "serviceAccount": config["serviceAccountEmail"],
        "maxInstanceRequestConcurrency": config["maxInstanceRequestConcurrency"],
        "scaling": {
            "minInstanceCount": config.get("minInstanceCount", 0),
            "maxInstanceCount": config["maxInstanceCount"],
        },
        "containers": [
            {
                "name": "worker",
                "image": image,
                "env": _environment(config, part(function["name"], "projects")),
                "resources": {
                    "limits": {"cpu": config["availableCpu"], "memory": config["availableMemory"]},
                    "startupCpuBoost": True,
                },
            }
        ],
    }
    if config.get("vpcConnector"):
        egress = config.get("vpcConnectorEgressSettings", "PRIVATE_RANGES_ONLY")
        template["vpcAccess"] = {"connector": config["vpcConnector"], "egress": egress}
    kept = (current or {}).get("traffic")
    latest = config.get("allTrafficOnLatestRevision", not kept)
    return {
        "labels": labels,
        "annotations": {"cloudfunctions.googleapis.com/function-id": function["name"].rpartition("/")[2]},
        "ingress": INGRESS[config["ingressSettings"]],
        "template": template,
        "traffic": [dict(t) for t in traffic.DEFAULT] if latest or not kept else copy.deepcopy(kept),
    }


def dry_run(cloud: Google, function: Mapping[str, Any]) -> None:
    """Refuse a function whose service couldn't be, before anything is built.

    Raises:
        ApiError: Cloud Run's words, after those of Functions.
    """
    name = service_name(function["name"])
    current = cloud.services.get(name)
    verb = "update" if current else "create"
    try:
        service = services.fresh(cloud, name, wished(function, "placeholder", current), "")
        services.check(cloud, service)
        if current is None:
            services.admit(cloud, name)
    except ApiError as error:
        short = name.rpartition("/")[2]
        text = error.message.replace("template.containers[0]", "spec.template.spec.containers")
        raise ApiError(
            error.status, f"Could not {verb} Cloud Run service {short}. {text}", *error.details
        ) from error


def apply(cloud: Google, function: Mapping[str, Any], image: str, principal: str) -> dict[str, Any]:
    """Create or update the function's service; the record of it.

    Raises:
        ApiError: the new revision doesn't become ready.
    """
    name = service_name(function["name"])
    with cloud.changing(name):
        with cloud.lock:
            current = cloud.services.get(name)
            service = services.fresh(cloud, name, wished(function, image, current), principal)
            changed = current is None or service["template"] != current["template"]
            if current is None:
                cloud.services[name] = current = service
            else:
                services.replace(current, service, principal)
        try:
            roll_out(cloud, current, template_changed=changed)
        except ApiError as error:
            short = name.rpartition("/")[2]
            raise ApiError(
                "INVALID_ARGUMENT",
                f"Could not create or update Cloud Run service {short}, Container Healthcheck failed. "
                f"{error.message}",
            ) from error
    return current


def shown(cloud: Google, function: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the function with what its service says: addresses, revision, traffic."""
    found = copy.deepcopy(dict(function))
    service = cloud.services.get(service_name(found["name"]))
    if service is None:
        return found
    config = found["serviceConfig"]
    config["service"] = service["name"]
    config["uri"] = found["url"] = service["uri"]
    revision = service.get("latestReadyRevision", "").rpartition("/")[2]
    if revision:
        config["revision"] = revision
    # "On GetFunction, true will be returned if the latest revision is serving 100% of traffic"
    # (ServiceConfig.allTrafficOnLatestRevision).
    shares = [t for t in service.get("trafficStatuses", ()) if t.get("percent")]
    config["allTrafficOnLatestRevision"] = [t.get("revision") for t in shares] == [revision]
    return found


def _environment(config: Mapping[str, Any], project: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": k, "value": v} for k, v in sorted(config.get("environmentVariables", {}).items())
    ]
    for entry in config.get("secretEnvironmentVariables", ()):
        owner = entry.get("projectId") or project
        secret = entry["secret"] if owner == project else f"projects/{owner}/secrets/{entry['secret']}"
        reference = {"secret": secret, "version": entry.get("version") or "latest"}
        found.append({"name": entry["key"], "valueSource": {"secretKeyRef": reference}})
    return found


def _trigger(function: Mapping[str, Any]) -> str:
    return "EVENTARC_TRIGGER" if function.get("eventTrigger") else "HTTP_TRIGGER"
