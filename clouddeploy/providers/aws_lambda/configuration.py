"""A function's configuration: from the wish, from what AWS tells, and as its API takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.options import Options
from clouddeploy.spec import Deployment

MEMORY_MB = 1024
CORS_ORIGINS = "CLOUDDEPLOY_CORS_ORIGINS"
MODEL_URI = "CLOUDDEPLOY_MODEL_URI"
"""Both read by our entry in the function."""


def wished(deployment: Deployment, options: Options, role: str) -> dict[str, Any]:
    """The configuration that `deployment` asks for, all of it but what names its release."""
    access, compute = deployment.access, deployment.compute
    network = {"SubnetIds": sorted(access.subnets), "SecurityGroupIds": sorted(access.security_groups)}
    return {
        "runtime": None if options.is_image else options.runtime,
        "handler": None if options.is_image else names.HANDLER,
        "architecture": compute.architecture,
        "memory_mb": compute.memory_mb or MEMORY_MB,
        "timeout_s": compute.timeout_s,
        "ephemeral_mb": options.ephemeral_mb,
        "env": environment(deployment),
        "role": role,
        "network": network if access.subnets else None,
        "kms_key": access.kms_key,
        "snap_start": options.snap_start,
    }


def environment(deployment: Deployment) -> dict[str, str]:
    """Environment of the function; the user's own values win."""
    origins = deployment.access.cors_origins
    ours = {CORS_ORIGINS: ",".join(origins)} if origins else {}
    return {**ours, **deployment.env}


def told(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a FunctionConfiguration tells, in the same form."""
    vpc = found.get("VpcConfig") or {}
    network = {k: sorted(vpc.get(k) or ()) for k in ("SubnetIds", "SecurityGroupIds")}
    return {
        "runtime": found.get("Runtime") or None,
        "handler": found.get("Handler") or None,
        "architecture": next(iter(found.get("Architectures") or ()), "x86_64"),
        "memory_mb": found.get("MemorySize"),
        "timeout_s": found.get("Timeout"),
        "ephemeral_mb": (found.get("EphemeralStorage") or {}).get("Size", 512),
        "env": dict((found.get("Environment") or {}).get("Variables") or {}),
        "role": found.get("Role"),
        "network": network if network["SubnetIds"] else None,
        "kms_key": found.get("KMSKeyArn") or None,
        "snap_start": (found.get("SnapStart") or {}).get("ApplyOn") == "PublishedVersions",
    }


def params(wish: Mapping[str, Any], *, new: bool = False) -> dict[str, Any]:
    """As UpdateFunctionConfiguration takes it, or CreateFunction for a `new` one, which needs no empty
    values; the architecture goes with the code."""
    network = wish["network"] or {"SubnetIds": [], "SecurityGroupIds": []}
    cleared = {"VpcConfig": network, "KMSKeyArn": wish["kms_key"] or ""}
    if new:
        cleared = {k: v for k, v in cleared.items() if wish["network" if k == "VpcConfig" else "kms_key"]}
    managed = {"Runtime": wish["runtime"], "Handler": wish["handler"]} if wish["runtime"] else {}
    return {
        **managed,
        "Description": wish["description"],
        "Role": wish["role"],
        "MemorySize": wish["memory_mb"],
        "Timeout": wish["timeout_s"],
        "EphemeralStorage": {"Size": wish["ephemeral_mb"]},
        "Environment": {"Variables": wish["env"]},
        **cleared,
        "SnapStart": {"ApplyOn": "PublishedVersions" if wish["snap_start"] else "None"},
    }
