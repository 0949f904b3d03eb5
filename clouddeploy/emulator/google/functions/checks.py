"""What Cloud Functions refuse before they begin, and the defaults they fill in."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.google.call import number
from clouddeploy.emulator.google.errors import ApiError, invalid
from clouddeploy.emulator.google.run.template import memory_bytes

NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
# "Runtime support", Cloud Run functions documentation; only Python's run here.
RUNTIMES = ("python38", "python39", "python310", "python311", "python312", "python313", "python314")
RETIRED = ("python38",)
# "Memory limits", Cloud Run functions: the CPU that comes with so much memory, in bytes.
CPU_OF_MEMORY = (
    (128e6, "0.083"), (256e6, "0.167"), (512e6, "0.333"), (1e9, "0.583"), (2e9, "1"), (4e9, "2"),
    (8e9, "2"), (16e9, "4"), (32e9, "8"),
)  # fmt: skip
LABEL_KEY = re.compile(r"[a-z][-_a-z0-9]{0,62}")
LABEL_VALUE = re.compile(r"[-_a-z0-9]{0,63}")
LABELS = 64
RESERVED = re.compile(
    r"FUNCTION_TARGET|FUNCTION_SIGNATURE_TYPE|K_SERVICE|K_REVISION|PORT|K_CONFIGURATION|X_GOOGLE_.*|FIREBASE_CONFIG_?"
)
TIMEOUT_S, EVENT_TIMEOUT_S = 3600, 540


def name(identity: str) -> None:
    """Refuse an identifier that a function can't have.

    Raises:
        ApiError: telling the rule.
    """
    if not NAME.fullmatch(identity):
        raise invalid(
            f"Invalid function_id {identity!r}: it must contain only lower case Latin letters, digits and "
            "a hyphen (-). It must start with letter, must not end with a hyphen, and must be at most 63 "
            "characters long.",
            "function_id",
        )


def filled(function: Mapping[str, Any], project: str) -> dict[str, Any]:
    """The function with the service's defaults."""
    found = copy.deepcopy(dict(function))
    found.setdefault("environment", "GEN_2")
    config = found.setdefault("serviceConfig", {})
    config["timeoutSeconds"] = config.get("timeoutSeconds") or 60
    config["availableMemory"] = config.get("availableMemory") or "256M"
    config["maxInstanceCount"] = config.get("maxInstanceCount") or 100
    config["maxInstanceRequestConcurrency"] = config.get("maxInstanceRequestConcurrency") or 1
    config.setdefault("ingressSettings", "ALLOW_ALL")
    if not config.get("serviceAccountEmail"):
        config["serviceAccountEmail"] = f"{number(project)}-compute@developer.gserviceaccount.com"
    if not config.get("availableCpu"):
        size = memory_bytes(config["availableMemory"], "service_config.available_memory")
        config["availableCpu"] = next((c for m, c in CPU_OF_MEMORY if size <= m * 1.074), "8")
    return found


def check(function: Mapping[str, Any]) -> None:
    """Refuse a filled function that can't be.

    Raises:
        ApiError: what is wrong.
    """
    build = function.get("buildConfig", {})
    config = function["serviceConfig"]
    if function["environment"] != "GEN_2":
        raise invalid("Only GEN_2 functions are served by this API version.", "function.environment")
    runtime = build.get("runtime", "")
    if runtime not in RUNTIMES:
        raise invalid(f"Runtime {runtime!r} is not supported on GCF Gen2", "function.build_config.runtime")
    if runtime in RETIRED:
        raise invalid(
            f"Runtime {runtime!r} is decommissioned and no longer allowed.", "function.build_config.runtime"
        )
    if not build.get("entryPoint"):
        raise invalid("Function entry point is required.", "function.build_config.entry_point")
    source = build.get("source", {}).get("storageSource", {})
    if not source.get("bucket") or not source.get("object"):
        raise invalid("Build source must be set.", "function.build_config.source")
    _check_service(config, function.get("eventTrigger"))
    labels(function.get("labels", {}))


def _check_service(config: Mapping[str, Any], trigger: Mapping[str, Any] | None) -> None:
    most = EVENT_TIMEOUT_S if trigger else TIMEOUT_S
    if not 1 <= config["timeoutSeconds"] <= most:
        raise invalid(
            f"Function timeout must be between 1 and {most} seconds.",
            "function.service_config.timeout_seconds",
        )
    low, high = config.get("minInstanceCount", 0), config["maxInstanceCount"]
    if low < 0 or low > high:
        raise invalid(
            f"Min instances {low} must not be negative nor exceed max instances {high}.",
            "function.service_config.min_instance_count",
        )
    for variable in config.get("environmentVariables", {}):
        if RESERVED.fullmatch(variable):
            raise invalid(
                f"Environment variable {variable} is reserved by the system and cannot be set by users.",
                "function.service_config.environment_variables",
            )
        if not variable or "=" in variable:
            raise invalid(f"Environment variable name {variable!r} is not valid.")
    for secret in config.get("secretEnvironmentVariables", ()):
        if not secret.get("key") or not secret.get("secret"):
            raise invalid("Secret environment variables need a key and a secret.")
        if secret["key"] in config.get("environmentVariables", {}):
            raise invalid(f"Environment variable {secret['key']} is given as a value and as a secret.")


def labels(given: Mapping[str, str]) -> None:
    """Refuse labels that break the rules ("Requirements for labels", Resource Manager documentation).

    Raises:
        ApiError: naming the label.
    """
    if len(given) > LABELS:
        raise invalid(f"Resource has {len(given)} labels, at most {LABELS} are allowed.", "labels")
    for key, value in given.items():
        if not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(value):
            raise invalid(
                f"Label '{key}:{value}' is not valid: keys and values may have lowercase letters, digits, "
                "underscores and dashes, at most 63; a key starts with a letter.",
                "labels",
            )


def queue_refusal() -> ApiError:
    """A change of a function that is changing."""
    return ApiError("ABORTED", "unable to queue the operation")
