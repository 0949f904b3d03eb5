"""Lambda's provisioned concurrency as a scalable target.

"Managing provisioned concurrency with Application Auto Scaling" (Lambda Developer Guide) and "AWS Lambda
and Application Auto Scaling" (Application Auto Scaling User Guide).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clouddeploy.emulator.autoscaling.records import Key, Target
from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.functions.concurrency import current, provision
from clouddeploy.emulator.functions.names import resolve

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

DIMENSION = "lambda:function:ProvisionedConcurrency"
RESOURCE = re.compile(r"function:([a-zA-Z0-9_-]+):([a-zA-Z0-9_-]+)")
LEAST, MOST = 0.1, 0.9


def _split(key: Key) -> tuple[str, str]:
    match = RESOURCE.fullmatch(key.resource)
    if key.dimension != DIMENSION or match is None:
        raise Refused("Unsupported service namespace, resource type or scalable dimension")
    return match[1], match[2]


def check(key: Key) -> None:
    """Refuse what is no alias or version of a function.

    Raises:
        Refused: the resource id isn't one, or there is no such function, alias or version.
    """
    name, qualifier = _split(key)
    try:
        resolve(key.region, name, qualifier)
    except Refused as error:
        raise Refused(f"Lambda function doesn't exist: {key.resource}: {error.message}") from error


def fit(cloud: Cloud, target: Target) -> None:
    """Bring the provisioned concurrency between the target's bounds; zero takes it away."""
    name, qualifier = _split(target.key)
    now = current(target.key.region, name, qualifier)
    wanted = min(max(now, target.low), target.high)
    if wanted != now and wanted > 0:
        try:
            provision(cloud, target.key.region, name, qualifier, wanted)
        except Refused as error:
            raise Refused(error.message) from error


def check_utilization(value: float) -> None:
    """Refuse a target that Lambda's utilization metric can't have."""
    if not LEAST <= value <= MOST:
        raise Refused(f"TargetValue must be between {LEAST} and {MOST} for this metric, not {value}")


def dimensions(key: Key) -> list[dict[str, str]]:
    """What the metric of an alias or a version is found by."""
    name, qualifier = _split(key)
    return [
        {"Name": "FunctionName", "Value": name},
        {"Name": "Resource", "Value": f"{name}:{qualifier}"},
    ]
