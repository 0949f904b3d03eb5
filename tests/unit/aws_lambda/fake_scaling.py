"""Application Auto Scaling in memory: the embedded cloud's own looks for a function that it has itself."""

from __future__ import annotations

from typing import Any

from tests.unit.aws.test_client import refusal


class FakeScaling:
    """Targets, policies and scheduled actions, by resource."""

    def __init__(self) -> None:
        self.targets: dict[str, dict[str, Any]] = {}
        self.policies: dict[str, dict[str, Any]] = {}
        self.actions: dict[str, dict[str, Any]] = {}

    def inventory(self) -> dict[str, str]:
        """Everything that there is, with the state that matters."""
        found = {
            f"scalable-target/{k}": f"{t['MinCapacity']}-{t['MaxCapacity']}" for k, t in self.targets.items()
        }
        found |= {f"scaling-policy/{name}": "" for name in self.policies}
        return found | {f"scheduled-action/{name}": "" for name in self.actions}

    def RegisterScalableTarget(self, **wish: Any) -> None:
        self.targets[wish["ResourceId"]] = wish

    def DescribeScalableTargets(self, ResourceIds: list[str], **_: Any) -> Any:
        return {"ScalableTargets": [t for k, t in self.targets.items() if k in ResourceIds]}

    def DeregisterScalableTarget(self, **scope: str) -> None:
        self._needed(scope["ResourceId"])
        del self.targets[scope["ResourceId"]]
        self.policies.clear()
        self.actions.clear()

    def PutScalingPolicy(self, **wish: Any) -> None:
        self._needed(wish["ResourceId"])
        self.policies[wish["PolicyName"]] = wish

    def DescribeScalingPolicies(self, **_: str) -> Any:
        return {"ScalingPolicies": list(self.policies.values())}

    def DeleteScalingPolicy(self, PolicyName: str, **_: str) -> None:
        self._drop(self.policies, PolicyName)

    def PutScheduledAction(self, **wish: Any) -> None:
        self._needed(wish["ResourceId"])
        self.actions[wish["ScheduledActionName"]] = wish

    def DescribeScheduledActions(self, **_: str) -> Any:
        return {"ScheduledActions": list(self.actions.values())}

    def DeleteScheduledAction(self, ScheduledActionName: str, **_: str) -> None:
        self._drop(self.actions, ScheduledActionName)

    def _needed(self, resource: str) -> None:
        if resource not in self.targets:
            raise refusal("ObjectNotFoundException", f"No scalable target registered for {resource}")

    def _drop(self, kept: dict[str, dict[str, Any]], name: str) -> None:
        if kept.pop(name, None) is None:
            raise refusal("ObjectNotFoundException", f"No {name}")
