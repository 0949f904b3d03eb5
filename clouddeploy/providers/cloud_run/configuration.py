"""A service's settings: from the wish, from what Google tells, and as its API takes them.

Cloud Run v2, REST reference, ``projects.locations.services``: ``Service`` and ``RevisionTemplate``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.providers.cloud_run import names, sizes
from clouddeploy.providers.cloud_run.options import INGRESS, Options
from clouddeploy.providers.gcp.labels import DIGEST, RELEASE_VARIABLE, make_labels, with_project
from clouddeploy.providers.gcp.quantities import mebibytes, told_cpu, written_cpu
from clouddeploy.providers.gcp.run import alarming
from clouddeploy.providers.gcp.run.revision import environment_of, release_of
from clouddeploy.providers.gcp.run.site import is_reconciling
from clouddeploy.providers.gcp.secrets import LATEST
from clouddeploy.spec import Deployment, digest_of

CORS_ORIGINS, WORKERS = "CLOUDDEPLOY_SERVE_CORS_ORIGINS", "CLOUDDEPLOY_SERVE_WORKERS"
"""Read by our server."""
IMAGE_NOTE = "clouddeploy-image"
"""Annotation of a template: the URI of the image that its digest label stands for."""
GPU_LIMIT = "nvidia.com/gpu"
PORT = 8080
STARTUP_S = 240
"""Seconds that a startup probe may take in all ("Configure container health checks for services")."""
REVISION_MAX = 100
"""Instances that a revision may have when its template doesn't say ("Maximum instances for services")."""
IN_TEMPLATE = (
    "image", "digest", "memory_mb", "cpu", "gpu", "zonal", "timeout_s", "concurrency", "startup_s", "env",
    "secrets", "service_account", "vpc_connector", "kms_key", "revision_max",
)  # fmt: skip
"""What a release consists of; other fields change without a new one."""
SETTINGS_MASK = "labels,ingress,scaling"
MASK = f"{SETTINGS_MASK},template,traffic"
GOOGLES = ("goog-", "run.googleapis.com/", "cloud.googleapis.com/")
"""How keys of labels begin that Google adds by itself."""


def wished(
    deployment: Deployment,
    options: Options,
    account: str,
    digest: str,
    project: str,
    before: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The state that `deployment` asks for.

    Args:
        account: e-mail of the service account.
        digest: of the image that is made; empty for one of the user's own.
        project: where it is to run.
        before: the service's labels as they are; None where there is none yet.
    """
    access, compute, scaling = deployment.access, deployment.compute, deployment.autoscaling
    concurrency = sizes.concurrency_of(scaling, options.cpu)
    template = {
        "image": options.image or "",
        "digest": names.tag(digest),
        "memory_mb": sizes.memory_of(compute, options),
        "cpu": written_cpu(sizes.cpu_of(compute, options, concurrency)),
        "gpu": options.gpu,
        "zonal": bool(options.gpu and options.gpu_zonal_redundancy),
        "timeout_s": compute.timeout_s,
        "concurrency": concurrency,
        "startup_s": min(compute.startup_timeout_s, STARTUP_S),
        "env": with_project(environment(deployment), options.secrets, project),
        "secrets": dict(options.secrets),
        "service_account": account,
        "vpc_connector": options.vpc_connector,
        "kms_key": access.kms_key,
        "revision_max": max(REVISION_MAX, scaling.max),
    }
    release = digest_of(template)[: names.DIGITS]
    return {
        **template,
        "release": release,
        "labels": {
            **make_labels(deployment.tags, deployment.name, release=release, digest=names.tag(digest)),
            names.TARGET_LABEL: names.TARGET,
            **alarming.label(deployment, before),
        },
        "ingress": INGRESS[options.ingress],
        "min": scaling.min,
        "max": scaling.max,
        "alive": True,
    }


def environment(deployment: Deployment) -> dict[str, str]:
    """The variables but the one that names the release; the user's own values win.

    One worker, so that the model is in memory once: a prediction has as many threads as there are processors.
    """
    origins = deployment.access.cors_origins
    ours = {CORS_ORIGINS: ",".join(origins)} if origins else {}
    return {WORKERS: "1", **ours, **deployment.env}


def service(wish: Mapping[str, Any], name: str, image: str, project: str) -> dict[str, Any]:
    """The Service that the API takes, without name and traffic.

    Args:
        wish: a state as in `wished`.
        name: the service's id.
        image: URI of the image.
        project: whose secrets are meant.
    """
    return {**settings(wish), "template": template(wish, name, image, project)}


def settings(wish: Mapping[str, Any]) -> dict[str, Any]:
    """The service's own fields, which make no revision."""
    return {
        "labels": dict(wish["labels"]),
        "ingress": wish["ingress"],
        "scaling": {"minInstanceCount": wish["min"], "maxInstanceCount": wish["max"]},
    }


def template(wish: Mapping[str, Any], name: str, image: str, project: str) -> dict[str, Any]:
    """The RevisionTemplate: all of it follows from the release."""
    release, digest = wish["release"], wish["digest"]
    found: dict[str, Any] = {
        "revision": names.revision(name, release),
        "labels": make_labels({}, name, release=release, digest=digest),
        "serviceAccount": wish["service_account"],
        "timeout": f"{wish['timeout_s']}s",
        "maxInstanceRequestConcurrency": wish["concurrency"],
        "scaling": {"maxInstanceCount": wish["revision_max"]},
        "containers": [_container(wish, image, project)],
    }
    if digest:
        found["annotations"] = {IMAGE_NOTE: image}
    if wish["vpc_connector"]:
        found["vpcAccess"] = {"connector": wish["vpc_connector"]}
    if wish["kms_key"]:
        found["encryptionKey"] = wish["kms_key"]
    if wish["gpu"]:
        found["nodeSelector"] = {"accelerator": wish["gpu"]}
        found["gpuZonalRedundancyDisabled"] = not wish["zonal"]
    return found


def _container(wish: Mapping[str, Any], image: str, project: str) -> dict[str, Any]:
    limits = {"cpu": wish["cpu"], "memory": f"{wish['memory_mb']}Mi"}
    if wish["gpu"]:
        limits[GPU_LIMIT] = "1"
    plain = {**wish["env"], RELEASE_VARIABLE: wish["release"]}
    return {
        "image": image,
        "env": [
            *({"name": k, "value": v} for k, v in sorted(plain.items())),
            *(_secret(k, v, project) for k, v in sorted(wish["secrets"].items())),
        ],
        # A GPU takes CPU all the time; without one, CPU is charged while requests are served.
        "resources": {"limits": limits, "cpuIdle": not wish["gpu"], "startupCpuBoost": True},
        "ports": [{"containerPort": PORT}],
        "startupProbe": _probe(wish),
    }


def _probe(wish: Mapping[str, Any]) -> dict[str, Any]:
    """Asked each second: of our own server whether the model is loaded, of another image for its port."""
    asked = {"tcpSocket": {"port": PORT}} if wish["image"] else {"httpGet": {"path": "/ready", "port": PORT}}
    return {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": wish["startup_s"], **asked}


def _secret(key: str, value: str, project: str) -> dict[str, Any]:
    secret, _, version = value.partition(":")
    reference = {"secret": f"projects/{project}/secrets/{secret}", "version": version}
    return {"name": key, "valueSource": {"secretKeyRef": reference}}


def told(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a Service of the API tells, in the form of `wished`."""
    inner = found.get("template") or {}
    limits = found.get("scaling") or {}
    condition = found.get("terminalCondition") or {}
    return {
        **template_told(inner),
        "release": release_of(inner),
        "labels": {k: v for k, v in (found.get("labels") or {}).items() if not k.startswith(GOOGLES)},
        "ingress": found.get("ingress", INGRESS["all"]),
        "min": limits.get("minInstanceCount", 0),
        "max": limits.get("maxInstanceCount", 0),
        # Of a change that is under way, as after a deploy that was killed, nobody knows how it will end.
        "alive": condition.get("state") != "CONDITION_FAILED" and not is_reconciling(found),
    }


def template_told(inner: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `IN_TEMPLATE` in a template, or in a revision."""
    container: Mapping[str, Any] = (inner.get("containers") or ({},))[0]
    limits = (container.get("resources") or {}).get("limits") or {}
    probe = container.get("startupProbe") or {}
    image = str(container.get("image", ""))
    digest = str((inner.get("labels") or {}).get(DIGEST, ""))
    noted = (inner.get("annotations") or {}).get(IMAGE_NOTE) == image
    env = environment_of({"containers": [_without_secrets(container)]})
    env.pop(RELEASE_VARIABLE, None)
    return {
        "image": "" if noted else image,
        "digest": digest if noted else "",
        "memory_mb": mebibytes(str(limits.get("memory", ""))),
        "cpu": told_cpu(str(limits.get("cpu", ""))),
        "gpu": (inner.get("nodeSelector") or {}).get("accelerator") or None,
        "zonal": bool(inner.get("nodeSelector")) and not inner.get("gpuZonalRedundancyDisabled", False),
        "timeout_s": round(float(str(inner.get("timeout", "300s")).removesuffix("s"))),
        "concurrency": inner.get("maxInstanceRequestConcurrency", sizes.CONCURRENCY),
        "startup_s": probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10),
        "env": env,
        "secrets": dict(filter(None, map(_secret_told, container.get("env") or ()))),
        "service_account": inner.get("serviceAccount", ""),
        "vpc_connector": (inner.get("vpcAccess") or {}).get("connector") or None,
        "kms_key": inner.get("encryptionKey") or None,
        "revision_max": (inner.get("scaling") or {}).get("maxInstanceCount", REVISION_MAX),
    }


def _without_secrets(container: Mapping[str, Any]) -> dict[str, Any]:
    return {**container, "env": [e for e in container.get("env") or () if not e.get("valueSource")]}


def _secret_told(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    reference = (entry.get("valueSource") or {}).get("secretKeyRef")
    if not reference:
        return None
    secret = str(reference.get("secret", "")).rpartition("/")[2]
    return str(entry["name"]), f"{secret}:{reference.get('version') or LATEST}"
