"""AWS::ApplicationAutoScaling::*"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.cloudformation.kinds.kind import Kind, Site
from clouddeploy.emulator.cloudformation.records import Part

SERVICE = "application-autoscaling"
IDENTITY = ("ResourceId", "ScalableDimension", "ServiceNamespace")


class ScalableTarget(Kind):
    """``AWS::ApplicationAutoScaling::ScalableTarget``: Ref is ``resource|dimension|namespace``."""

    known = (*IDENTITY, "MaxCapacity", "MinCapacity", "RoleARN", "ScheduledActions", "SuspendedState")
    replaced_by = IDENTITY

    def create(self, site: Site, part: Part) -> None:
        """RegisterScalableTarget, PutScheduledAction."""
        part.physical_id = "|".join(str(part.properties[name]) for name in IDENTITY)
        self.update(site, part, {})
        part.attributes = {"Id": part.physical_id}

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """RegisterScalableTarget anew; scheduled actions as they are now."""
        operation = "RegisterScalableTarget"
        site.call(SERVICE, operation, **site.fitting(SERVICE, operation, part.properties))
        where = {name: part.properties[name] for name in IDENTITY}
        now, then = (
            {str(a["ScheduledActionName"]): a for a in properties.get("ScheduledActions") or ()}
            for properties in (part.properties, before)
        )
        for name in set(then) - set(now):
            site.drop(SERVICE, "DeleteScheduledAction", ScheduledActionName=name, **where)
        for action in now.values():
            operation = "PutScheduledAction"
            site.call(SERVICE, operation, **site.fitting(SERVICE, operation, {**action, **where}))

    def delete(self, site: Site, part: Part) -> None:
        """DeregisterScalableTarget, with its policies and actions."""
        where = {name: part.properties[name] for name in IDENTITY}
        site.drop(SERVICE, "DeregisterScalableTarget", **where)


class ScalingPolicy(Kind):
    """``AWS::ApplicationAutoScaling::ScalingPolicy``: Ref and ``Arn`` are its ARN."""

    known = (
        *IDENTITY, "PolicyName", "PolicyType", "ScalingTargetId", "StepScalingPolicyConfiguration",
        "TargetTrackingScalingPolicyConfiguration",
    )  # fmt: skip
    replaced_by = (*IDENTITY, "PolicyName", "ScalingTargetId")

    def create(self, site: Site, part: Part) -> None:
        """PutScalingPolicy."""
        answer = site.call(SERVICE, "PutScalingPolicy", **self._wish(site, part))
        part.physical_id = answer["PolicyARN"]
        part.attributes = {"Arn": answer["PolicyARN"], "PolicyName": str(part.properties["PolicyName"])}

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """PutScalingPolicy."""
        site.call(SERVICE, "PutScalingPolicy", **self._wish(site, part))

    def delete(self, site: Site, part: Part) -> None:
        """DeleteScalingPolicy."""
        name = str(part.properties["PolicyName"])
        site.drop(SERVICE, "DeleteScalingPolicy", PolicyName=name, **_place(part))

    def _wish(self, site: Site, part: Part) -> dict[str, Any]:
        return site.fitting(SERVICE, "PutScalingPolicy", {**part.properties, **_place(part)})


def _place(part: Part) -> dict[str, str]:
    target = part.properties.get("ScalingTargetId")
    values = str(target).split("|") if target else [str(part.properties[name]) for name in IDENTITY]
    return dict(zip(IDENTITY, values, strict=True))
