"""Register-, Deregister- and DescribeScalableTargets, and their tags.

Application Auto Scaling API Reference. Every route answers None for another service's resources: they
are moto's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.autoscaling import concurrency
from clouddeploy.emulator.autoscaling.records import NOT_FOUND, Key, Scaling, Target
from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.sagemaker.records import Endpoint

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

RESOURCE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")
INSTANCES = "sagemaker:variant:DesiredInstanceCount"
PROVISIONED = "sagemaker:variant:DesiredProvisionedConcurrency"
SERVICES = ("sagemaker", "lambda")


def ours(call: Call) -> bool:
    """Whether the call is about SageMaker's or Lambda's resources."""
    return call.params.get("ServiceNamespace") in SERVICES


def register(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """RegisterScalableTarget: what is scaled must exist, and min must not exceed max."""
    if not ours(call):
        return None
    key = Key.of(call)
    if key.namespace == "lambda":
        concurrency.check(key)
        target = _registered(cloud, call, key)
        concurrency.fit(cloud, target)
        return {"ScalableTargetARN": target.arn}
    with cloud.store.lock:
        endpoint, variant = _variant(cloud, key)
        target = _registered(cloud, call, key)
        if key.dimension == INSTANCES and endpoint.status == "InService":
            count = min(max(variant["CurrentInstanceCount"], target.low), target.high)
            variant["CurrentInstanceCount"] = variant["DesiredInstanceCount"] = count
    return {"ScalableTargetARN": target.arn}


def _registered(cloud: Cloud, call: Call, key: Key) -> Target:
    """The target with the capacities that the call asks for."""
    wish = call.params
    with cloud.scaling.lock:
        target = cloud.scaling.find(key)
        low = wish.get("MinCapacity", target.low if target else None)
        high = wish.get("MaxCapacity", target.high if target else None)
        if low is None or high is None:
            raise Refused("MinCapacity and MaxCapacity are required when registering a new scalable target")
        check_limits(low, high)
        if target is None:
            target = Target(key, low, high, tags=dict(wish.get("Tags") or {}))
            cloud.scaling.add(target)
        target.low, target.high = low, high
        target.suspended = wish.get("SuspendedState", target.suspended)
    return target


def check_limits(low: int | None, high: int | None) -> None:
    """Refuse capacities that can't be meant."""
    if (low is not None and low < 0) or (high is not None and high < 0):
        raise Refused("Capacity must not be negative")
    if low is not None and high is not None and low > high:
        raise Refused(f"Maximum capacity ({high}) cannot be less than minimum capacity ({low})")


def _variant(cloud: Cloud, key: Key) -> tuple[Endpoint, dict[str, Any]]:
    match = RESOURCE.fullmatch(key.resource)
    if key.dimension not in (INSTANCES, PROVISIONED) or match is None:
        raise Refused("Unsupported service namespace, resource type or scalable dimension")
    endpoint = cloud.store.all(key.region, "endpoint").get(match[1])
    if isinstance(endpoint, Endpoint):
        for variant in endpoint.variants:
            if variant["VariantName"] == match[2]:
                if (key.dimension == INSTANCES) != ("CurrentInstanceCount" in variant):
                    raise Refused(f"The scalable dimension {key.dimension} does not fit {key.resource}")
                return endpoint, variant
    raise Refused(f"SageMaker endpoint variant doesn't exist: {key.resource}")


def deregister(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """DeregisterScalableTarget: its policies and scheduled actions go with it."""
    if not ours(call):
        return None
    key = Key.of(call)
    with cloud.scaling.lock:
        if cloud.scaling.find(key) is None:
            raise Refused(f"No scalable target found for {key.words()}", code=NOT_FOUND)
        cloud.scaling.remove(key)
    return {}


def describe(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """DescribeScalableTargets."""
    if not ours(call):
        return None
    wish = call.params
    found = [
        {
            **t.key.members(),
            "MinCapacity": t.low,
            "MaxCapacity": t.high,
            "RoleARN": t.role,
            "CreationTime": t.created,
            "ScalableTargetARN": t.arn,
            "SuspendedState": {
                "DynamicScalingInSuspended": False,
                "DynamicScalingOutSuspended": False,
                "ScheduledScalingSuspended": False,
                **t.suspended,
            },
        }
        for t in cloud.scaling.of_region(call.region)
        if t.key.namespace == wish["ServiceNamespace"]
        and wish.get("ScalableDimension") in (None, t.key.dimension)
        and (not wish.get("ResourceIds") or t.key.resource in wish["ResourceIds"])
    ]
    return page(found, "ScalableTargets", wish)


def page(found: list[dict[str, Any]], member: str, wish: dict[str, Any]) -> dict[str, Any]:
    """One page of an answer; the token is where the next begins."""
    begin = str(wish.get("NextToken") or 0)
    if not begin.isdigit():
        raise Refused("The next token is invalid", code="InvalidNextTokenException")
    end = int(begin) + (wish.get("MaxResults") or 50)
    answer: dict[str, Any] = {member: found[int(begin) : end]}
    return {**answer, "NextToken": str(end)} if end < len(found) else answer


def activities(_: Cloud, call: Call) -> dict[str, Any] | None:
    """DescribeScalingActivities: nothing is scaled here, so there are none."""
    return {"ScalingActivities": []} if ours(call) else None


def _by_arn(scaling: Scaling, call: Call) -> Target:
    for target in scaling.of_region(call.region):
        if target.arn == call.params["ResourceARN"]:
            return target
    message = f"The specified resource doesn't exist: {call.params['ResourceARN']}"
    raise Refused(message, code="ResourceNotFoundException")


def list_tags(cloud: Cloud, call: Call) -> dict[str, Any]:
    """ListTagsForResource."""
    return {"Tags": _by_arn(cloud.scaling, call).tags}


def tag(cloud: Cloud, call: Call) -> dict[str, Any]:
    """TagResource."""
    _by_arn(cloud.scaling, call).tags.update(call.params["Tags"])
    return {}


def untag(cloud: Cloud, call: Call) -> dict[str, Any]:
    """UntagResource."""
    target = _by_arn(cloud.scaling, call)
    target.tags = {k: v for k, v in target.tags.items() if k not in call.params["TagKeys"]}
    return {}
