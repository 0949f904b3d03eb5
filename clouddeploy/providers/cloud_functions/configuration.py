"""A function's configuration: from the wish, from what Google tells, and as its API takes it.

Cloud Functions v2, REST reference, ``projects.locations.functions``: ``Function``, ``BuildConfig`` and
``ServiceConfig``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.providers.cloud_functions import names, sizes
from clouddeploy.providers.cloud_functions.options import INGRESS, Options
from clouddeploy.providers.gcp.labels import with_project
from clouddeploy.providers.gcp.quantities import mebibytes, told_cpu, written_cpu
from clouddeploy.providers.gcp.secrets import LATEST
from clouddeploy.spec import Autoscaling, Deployment

CORS_ORIGINS = "CLOUDDEPLOY_CORS_ORIGINS"
WEIGHTS = "CLOUDDEPLOY_MODEL"
"""Where weights lie that aren't in the source: ``gs://bucket/object#generation``, here without the latter."""
THREADS = "THREADS"
"""Read by our entry, and by functions-framework: threads of one instance."""
ADDED_BY_GOOGLE = "LOG_EXECUTION_ID"
"""An environment variable that Google may add by itself."""
SCALING = frozenset({"min", "max", "concurrency"})
"""What changes the number of copies, and no release."""
MASK = {
    "source": "buildConfig.source",
    "runtime": "buildConfig.runtime",
    "entry_point": "buildConfig.entryPoint",
    "docker_repository": "buildConfig.dockerRepository",
    "memory_mb": "serviceConfig.availableMemory",
    "cpu": "serviceConfig.availableCpu",
    "timeout_s": "serviceConfig.timeoutSeconds",
    "min": "serviceConfig.minInstanceCount",
    "max": "serviceConfig.maxInstanceCount",
    "concurrency": "serviceConfig.maxInstanceRequestConcurrency",
    "env": "serviceConfig.environmentVariables",
    "secrets": "serviceConfig.secretEnvironmentVariables",
    "service_account": "serviceConfig.serviceAccountEmail",
    "ingress": "serviceConfig.ingressSettings",
    "vpc_connector": "serviceConfig.vpcConnector",
    "kms_key": "kmsKeyName",
    "labels": "labels",
}
"""Our fields, and the paths that an update's mask names them by."""


def wished(deployment: Deployment, options: Options, account: str, project: str) -> dict[str, Any]:
    """The configuration that `deployment` asks for, all of it but its source, labels and release.

    Args:
        account: e-mail of the service account.
        project: where it is to run.
    """
    access, compute = deployment.access, deployment.compute
    concurrency = sizes.concurrency_of(deployment.autoscaling)
    return {
        "runtime": options.runtime,
        "entry_point": names.ENTRY_POINT,
        "docker_repository": options.docker_repository,
        "memory_mb": sizes.memory_of(compute),
        "cpu": written_cpu(sizes.cpu_of(compute, options.cpu, concurrency)),
        "timeout_s": compute.timeout_s,
        "env": threaded(with_project(environment(deployment), options.secrets, project), concurrency),
        "secrets": dict(options.secrets),
        "service_account": account,
        "ingress": INGRESS[options.ingress],
        "vpc_connector": options.vpc_connector,
        "kms_key": access.kms_key,
        **scaling(deployment.autoscaling),
    }


def scaling(wish: Autoscaling) -> dict[str, Any]:
    """The fields of `SCALING`."""
    return {"min": wish.min, "max": wish.max, "concurrency": sizes.concurrency_of(wish)}


def threaded(env: Mapping[str, str], concurrency: int, *, before: int = 0) -> dict[str, str]:
    """`env` with as many threads as an instance gets requests at once, unless it says another number.

    functions-framework has fewer threads than that by itself, and requests would queue in the instance.

    Args:
        before: the concurrency that `env` was made for, whose number of threads isn't the user's own.
    """
    own = env.get(THREADS, str(before))
    return {**env, THREADS: str(concurrency)} if own == str(before) else dict(env)


def environment(deployment: Deployment) -> dict[str, str]:
    """Environment that names the release; the user's own values win."""
    origins = deployment.access.cors_origins
    ours = {CORS_ORIGINS: ",".join(origins)} if origins else {}
    return {**ours, **deployment.env}


def told(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a Function of the API tells, in the same form; ``source`` is empty for one that isn't ours."""
    build, service = found.get("buildConfig") or {}, found.get("serviceConfig") or {}
    stored = (build.get("source") or {}).get("storageSource") or {}
    return {
        "source": names.digest_in(stored.get("object", ""), name),
        "runtime": build.get("runtime", ""),
        "entry_point": build.get("entryPoint", ""),
        "docker_repository": _own_repository(build.get("dockerRepository", "")),
        "memory_mb": mebibytes(service.get("availableMemory", "")),
        "cpu": told_cpu(service.get("availableCpu", "")),
        "timeout_s": service.get("timeoutSeconds", 60),
        "min": service.get("minInstanceCount", 0),
        "max": service.get("maxInstanceCount", 0),
        "concurrency": service.get("maxInstanceRequestConcurrency", 1),
        "env": _environment_told(service.get("environmentVariables") or {}),
        "secrets": {
            s["key"]: f"{s['secret']}:{s.get('version', LATEST)}"
            for s in service.get("secretEnvironmentVariables") or ()
        },
        "service_account": service.get("serviceAccountEmail", ""),
        "ingress": service.get("ingressSettings", INGRESS["all"]),
        "vpc_connector": service.get("vpcConnector") or None,
        "kms_key": found.get("kmsKeyName") or None,
        "labels": dict(found.get("labels") or {}),
    }


def _environment_told(found: Mapping[str, str]) -> dict[str, str]:
    ours = {WEIGHTS: found[WEIGHTS].partition("#")[0]} if WEIGHTS in found else {}
    return {**found, **ours}


def _own_repository(path: str) -> str | None:
    return None if not path or path.rpartition("/")[2] == names.BUILDS else path


def function(wish: Mapping[str, Any], storage: Mapping[str, Any], project: str) -> dict[str, Any]:
    """The Function that the API takes, whole.

    Args:
        wish: a state as in `wished`, with ``source`` and ``labels``.
        storage: where the source lies, as the API's StorageSource.
        project: whose secrets are meant.
    """
    return {
        "environment": "GEN_2",
        "labels": dict(wish["labels"]),
        **({"kmsKeyName": wish["kms_key"]} if wish["kms_key"] else {}),
        "buildConfig": {
            "runtime": wish["runtime"],
            "entryPoint": wish["entry_point"],
            "source": {"storageSource": dict(storage)},
            **({"dockerRepository": wish["docker_repository"]} if wish["docker_repository"] else {}),
        },
        "serviceConfig": {
            "availableMemory": f"{wish['memory_mb']}Mi",
            "availableCpu": wish["cpu"],
            "timeoutSeconds": wish["timeout_s"],
            "minInstanceCount": wish["min"],
            "maxInstanceCount": wish["max"],
            "maxInstanceRequestConcurrency": wish["concurrency"],
            "environmentVariables": dict(wish["env"]),
            "secretEnvironmentVariables": [
                _secret(key, value, project) for key, value in sorted(wish["secrets"].items())
            ],
            "serviceAccountEmail": wish["service_account"],
            "ingressSettings": wish["ingress"],
            **({"vpcConnector": wish["vpc_connector"]} if wish["vpc_connector"] else {}),
        },
    }


def _secret(key: str, value: str, project: str) -> dict[str, str]:
    secret, _, version = value.partition(":")
    return {"key": key, "projectId": project, "secret": secret, "version": version}
