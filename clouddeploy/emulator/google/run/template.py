"""A revision's template: what is left open is filled in, what can't run is refused.

Figures: "Configure memory limits for services", "Configure CPU limits for services", "Maximum
concurrent requests for services", "Request timeout for services" in the Cloud Run documentation.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.google.call import number
from clouddeploy.emulator.google.errors import invalid

MI = 1024 * 1024
UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1024, "Mi": MI, "Gi": 1024 * MI}
QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(k|M|G|Ki|Mi|Gi|)")
WHOLE_CPUS = (1, 2, 4, 6, 8)
# vCPUs: least and most MiB of memory.
MEMORY_OF_CPU = {1: (128, 4096), 2: (128, 8192), 4: (2048, 16384), 6: (4096, 24576), 8: (4096, 32768)}
MOST_CONCURRENCY = 1000
MOST_TIMEOUT_S = 3600
RESERVED_ENV = ("PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION")


def memory_bytes(text: str, field: str) -> int:
    """A quantity of memory.

    Raises:
        ApiError: it is none.
    """
    match = QUANTITY.fullmatch(text)
    if not match:
        raise invalid(f"{field}: Invalid value specified for memory.", field)
    return int(float(match[1]) * UNITS[match[2]])


def cpus(text: str, field: str) -> float:
    """A number of vCPUs, such as ``2`` or ``583m``.

    Raises:
        ApiError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", text)
    if not match:
        raise invalid(f"{field}: Invalid value specified for cpu.", field)
    return float(match[1]) / (1000 if match[2] else 1)


def seconds(text: str) -> float:
    """A google.protobuf.Duration in JSON.

    Raises:
        ApiError: it is none.
    """
    if not re.fullmatch(r"\d+(\.\d+)?s", text):
        raise invalid(f"Invalid value at 'service.template.timeout', \"{text}\"", "service.template.timeout")
    return float(text[:-1])


def filled(template: Mapping[str, Any], project: str) -> dict[str, Any]:
    """The template with the service's defaults."""
    found = copy.deepcopy(dict(template))
    found.setdefault("timeout", "300s")
    found.setdefault("serviceAccount", f"{number(project)}-compute@developer.gserviceaccount.com")
    scaling = found.setdefault("scaling", {})
    scaling.setdefault("maxInstanceCount", 100)
    for container in found.get("containers", ()):
        limits = container.setdefault("resources", {}).setdefault("limits", {})
        limits.setdefault("cpu", "1000m")
        limits.setdefault("memory", "512Mi")
        container["resources"].setdefault("cpuIdle", True)
    main = main_container(found)
    if main is not None:
        main.setdefault("ports", [{"name": "http1", "containerPort": 8080}])
        small = cpus(main["resources"]["limits"]["cpu"], "cpu") < 1
        found.setdefault("maxInstanceRequestConcurrency", 1 if small else 80)
        main.setdefault(
            "startupProbe",
            {
                "timeoutSeconds": 240,
                "periodSeconds": 240,
                "failureThreshold": 1,
                "tcpSocket": {"port": main["ports"][0].get("containerPort", 8080)},
            },
        )
    return found


def main_container(template: Mapping[str, Any]) -> dict[str, Any] | None:
    """The container that gets the requests: the one with ports, else the first."""
    containers: list[dict[str, Any]] = template.get("containers", [])
    return next((c for c in containers if c.get("ports")), containers[0] if containers else None)


def check(template: Mapping[str, Any], *, most_instances: int) -> None:
    """Refuse a filled template that can't run.

    Raises:
        ApiError: in Cloud Run's words.
    """
    main = main_container(template)
    if main is None:
        raise invalid("template.containers: Revision template should contain exactly one container.")
    if not main.get("image"):
        raise invalid("template.containers[0].image: Image is required.", "template.containers[0].image")
    _check_env(main)
    limits = main["resources"]["limits"]
    concurrency = template["maxInstanceRequestConcurrency"]
    _check_resources(limits, concurrency)
    if not 0 <= concurrency <= MOST_CONCURRENCY:
        raise invalid(
            "template.max_instance_request_concurrency: must be between 1 and 1000 inclusive.",
            "template.max_instance_request_concurrency",
        )
    if not 0 < seconds(template["timeout"]) <= MOST_TIMEOUT_S:
        raise invalid("template.timeout: must be between 0 and 3600 seconds.", "template.timeout")
    _check_scaling(template["scaling"], most_instances)


def _check_resources(limits: Mapping[str, str], concurrency: int) -> None:
    where = "template.containers[0].resources.limits"
    cpu = cpus(limits["cpu"], f"{where}.cpu")
    memory = memory_bytes(limits["memory"], f"{where}.memory") / MI
    if (cpu >= 1 and cpu not in WHOLE_CPUS) or cpu < 0.08:
        raise invalid(
            f"{where}.cpu: Invalid value specified for cpu. Allowed are 0.08 to 1 vCPU, 2, 4, 6 and 8.",
            f"{where}.cpu",
        )
    if cpu < 1 and concurrency > 1:
        raise invalid(
            f"{where}.cpu: Invalid value specified for cpu. Total cpu < 1 is not supported with "
            "concurrency > 1.",
            f"{where}.cpu",
        )
    low, high = MEMORY_OF_CPU[int(cpu)] if cpu >= 1 else (128, 1024 if cpu >= 0.5 else 512)
    if not low <= memory <= high:
        raise invalid(
            f"{where}.memory: Invalid value specified for memory. For {cpu} CPU, memory must be between "
            f"{_size(low)} and {_size(high)} inclusive.",
            f"{where}.memory",
        )


def _size(mib: int) -> str:
    return f"{mib // 1024}Gi" if mib % 1024 == 0 else f"{mib}Mi"


def _check_scaling(scaling: Mapping[str, Any], most_instances: int) -> None:
    low, high = scaling.get("minInstanceCount", 0), scaling["maxInstanceCount"]
    if low < 0 or high < 1 or low > high:
        raise invalid(
            "template.scaling.min_instance_count: must be at least 0 and at most max_instance_count.",
            "template.scaling.min_instance_count",
        )
    if high > most_instances:
        raise invalid(
            "template.scaling.max_instance_count: Invalid value specified for cpu. For the specified value, "
            f"maxScale may not exceed {most_instances}.\nConsider running your workload in a region with "
            "greater capacity, decreasing your requested cpu-per-instance, or requesting an increase in "
            "quota for this region if you are seeing sustained usage near this limit, see "
            "https://cloud.google.com/run/quotas. Your project may gain access to further scaling by adding "
            "billing information to your account.",
            "template.scaling.max_instance_count",
        )


def _check_env(container: Mapping[str, Any]) -> None:
    names = [e.get("name", "") for e in container.get("env", ())]
    for name in names:
        if name in RESERVED_ENV:
            raise invalid(
                "template.containers[0].env: The following reserved env names were provided: "
                f"{name}. These values are automatically set by the system.",
                "template.containers[0].env",
            )
        if not name or names.count(name) > 1:
            raise invalid(f"template.containers[0].env: name {name!r} is empty or given twice.")
