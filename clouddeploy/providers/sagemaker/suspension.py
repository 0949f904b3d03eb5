"""Autoscaling taken off an endpoint for an update that it would forbid, and put back as it was.

An update that changes the machine type of a variant which is a scalable target fails (SageMaker
Developer Guide, "Update endpoints that use automatic scaling").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clouddeploy.providers.aws.autoscaling import (
    MISSING,
    SERVICE,
    find_actions,
    find_policies,
    find_target,
    normal,
)
from clouddeploy.providers.aws.tags import DEPLOYMENT
from clouddeploy.providers.sagemaker.endpoint_config import find_config, variant_of
from clouddeploy.providers.sagemaker.site import Site


@dataclass(frozen=True)
class Held:
    """What autoscaling was, to be put back."""

    target: Mapping[str, Any]
    policies: tuple[Mapping[str, Any], ...]
    actions: tuple[Mapping[str, Any], ...]


def suspended(site: Site, before: str, after: str) -> Held | None:
    """Take autoscaling off if the two configs differ in machine type; None when it stays on."""
    target = find_target(site.aws, site.dimension)
    if target is None or _machine(site, before) == _machine(site, after):
        return None
    held = Held(
        target,
        tuple(find_policies(site.aws, site.dimension).values()),
        tuple(find_actions(site.aws, site.dimension).values()),
    )
    site.aws.find(SERVICE, "DeregisterScalableTarget", MISSING, **site.dimension.params)
    return held


def resumed(site: Site, held: Held | None) -> None:
    """Put autoscaling back as it was; nothing when it wasn't taken off."""
    if held is None:
        return
    of, aws = site.dimension.params, site.aws
    limits = {k: held.target[k] for k in ("MinCapacity", "MaxCapacity")}
    aws(SERVICE, "RegisterScalableTarget", **of, **limits, Tags={DEPLOYMENT: site.name})
    for policy in held.policies:
        rule = normal(policy["TargetTrackingScalingPolicyConfiguration"])
        aws(
            SERVICE,
            "PutScalingPolicy",
            **of,
            PolicyName=policy["PolicyName"],
            PolicyType=policy["PolicyType"],
            TargetTrackingScalingPolicyConfiguration=rule,
        )
    for action in held.actions:
        kept = ("ScheduledActionName", "Schedule", "Timezone", "StartTime", "EndTime", "ScalableTargetAction")
        aws(SERVICE, "PutScheduledAction", **of, **{k: action[k] for k in kept if action.get(k) is not None})


def _machine(site: Site, config: str) -> object:
    answer = find_config(site, config)
    return variant_of(answer).get("InstanceType") if answer else None
