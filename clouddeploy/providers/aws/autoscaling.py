"""Application Auto Scaling: what may be scaled, what holds a metric, what happens at planned times.

Shared by every AWS service that scales through it; what differs is in `Dimension`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.survey import Survey

SERVICE = "application-autoscaling"
MISSING = frozenset({"ObjectNotFoundException"})


@dataclass(frozen=True)
class Dimension:
    """What is scaled, in Application Auto Scaling's terms.

    Args:
        namespace: such as ``sagemaker``.
        resource: such as ``endpoint/digits/variant/main``.
        dimension: such as ``sagemaker:variant:DesiredInstanceCount``.
    """

    namespace: str
    resource: str
    dimension: str

    @property
    def params(self) -> dict[str, str]:
        """As the API takes it."""
        return {
            "ServiceNamespace": self.namespace,
            "ResourceId": self.resource,
            "ScalableDimension": self.dimension,
        }

    @property
    def arguments(self) -> str:
        """As the AWS command line takes it."""
        return (
            f"--service-namespace {self.namespace} --resource-id {self.resource} "
            f"--scalable-dimension {self.dimension}"
        )


@dataclass(frozen=True)
class ScalableTarget:
    """The range within which the number of copies may move.

    Args:
        aws: the seam.
        survey: tells whether anything of the deployment exists at all.
        of: what is scaled.
        low: copies at the least.
        high: copies at the most.
        planned: the ranges that scheduled actions may have set meanwhile; no drift.
        tags: all its tags.
        needs: keys of what must exist before.
    """

    aws: Aws
    survey: Survey
    of: Dimension
    low: int
    high: int
    planned: tuple[tuple[int | None, int | None], ...] = ()
    tags: Mapping[str, str] | None = None
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "scalable target"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``scalable-target/<resource>``."""
        return f"scalable-target/{self.of.resource}"

    @property
    def removal(self) -> str:
        """Removes its policies and scheduled actions with it."""
        return f"aws application-autoscaling deregister-scalable-target {self.of.arguments}"

    def desired(self) -> State:
        """The range."""
        return {"min": self.low, "max": self.high}

    def read(self) -> State | None:
        """The range as it is; one that a scheduled action has set counts as the one wished for."""
        if self.survey.fresh:
            return None
        found = find_target(self.aws, self.of)
        if found is None:
            return None
        low, high = found["MinCapacity"], found["MaxCapacity"]
        lows, highs = {self.low} | {p for p, _ in self.planned}, {self.high} | {p for _, p in self.planned}
        return {"min": self.low if low in lows else low, "max": self.high if high in highs else high}

    def create(self, wish: State) -> None:
        """Register it; that it is registered already is success."""
        self.survey.spend()
        more = {"Tags": dict(self.tags)} if self.tags else {}
        self._register(wish, more)

    def update(self, actual: State, wish: State) -> None:
        """Set the range. Tags are taken at registration only (RegisterScalableTarget, API reference)."""
        self._register(wish, {})

    def _register(self, wish: State, more: Mapping[str, Any]) -> None:
        limits = {"MinCapacity": wish["min"], "MaxCapacity": wish["max"]}
        self.aws(SERVICE, "RegisterScalableTarget", **self.of.params, **limits, **more)

    def delete(self) -> None:
        """Deregister it."""
        self.aws.find(SERVICE, "DeregisterScalableTarget", MISSING, **self.of.params)


@dataclass(frozen=True)
class ScalingPolicy:
    """Target tracking: keeps one metric at a value.

    Args:
        aws: the seam.
        survey: tells whether anything of the deployment exists at all.
        of: what is scaled.
        name: the policy's name.
        rule: a ``TargetTrackingScalingPolicyConfiguration``.
        needs: keys of what must exist before.
    """

    aws: Aws
    survey: Survey
    of: Dimension
    name: str
    rule: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "scaling policy"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``scaling-policy/<name>``."""
        return f"scaling-policy/{self.name}"

    @property
    def removal(self) -> str:
        """Removes the policy and the alarms that AWS made for it."""
        return (
            f"aws application-autoscaling delete-scaling-policy --policy-name {self.name} {self.of.arguments}"
        )

    def desired(self) -> State:
        """The rule."""
        return {"rule": normal(self.rule)}

    def read(self) -> State | None:
        """The rule as it is."""
        if self.survey.fresh:
            return None
        found = find_policies(self.aws, self.of).get(self.name)
        return None if found is None else {"rule": normal(found["TargetTrackingScalingPolicyConfiguration"])}

    def create(self, wish: State) -> None:
        """Put it; that it is there already is success."""
        self.survey.spend()
        self.aws(
            SERVICE,
            "PutScalingPolicy",
            **self.of.params,
            PolicyName=self.name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=wish["rule"],
        )

    def update(self, actual: State, wish: State) -> None:
        """Put it anew."""
        self.create(wish)

    def delete(self) -> None:
        """Remove it."""
        self.aws.find(SERVICE, "DeleteScalingPolicy", MISSING, **self.of.params, PolicyName=self.name)


@dataclass(frozen=True)
class ScheduledAction:
    """A change of the range at planned times.

    Args:
        aws: the seam.
        survey: tells whether anything of the deployment exists at all.
        of: what is scaled.
        name: the action's name.
        schedule: in AWS's form, such as ``cron(0 8 ? * MON-FRI *)``.
        timezone: IANA name.
        low: copies at the least from then on, or None.
        high: copies at the most from then on, or None.
        needs: keys of what must exist before.
    """

    aws: Aws
    survey: Survey
    of: Dimension
    name: str
    schedule: str
    timezone: str
    low: int | None
    high: int | None
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "scheduled action"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``scheduled-action/<name>``."""
        return f"scheduled-action/{self.name}"

    @property
    def removal(self) -> str:
        """Removes it."""
        return (
            f"aws application-autoscaling delete-scheduled-action --scheduled-action-name {self.name} "
            f"{self.of.arguments}"
        )

    def desired(self) -> State:
        """When, and what then."""
        limits = {"MinCapacity": self.low, "MaxCapacity": self.high}
        return {
            "schedule": self.schedule,
            "timezone": self.timezone,
            "limits": {k: v for k, v in limits.items() if v is not None},
        }

    def read(self) -> State | None:
        """As it is."""
        if self.survey.fresh:
            return None
        found = find_actions(self.aws, self.of).get(self.name)
        if found is None:
            return None
        limits = {k: v for k, v in found.get("ScalableTargetAction", {}).items() if v is not None}
        return {"schedule": found["Schedule"], "timezone": found.get("Timezone") or "UTC", "limits": limits}

    def create(self, wish: State) -> None:
        """Put it; that it is there already is success."""
        self.survey.spend()
        self.aws(
            SERVICE,
            "PutScheduledAction",
            **self.of.params,
            ScheduledActionName=self.name,
            Schedule=wish["schedule"],
            Timezone=wish["timezone"],
            ScalableTargetAction=wish["limits"],
        )

    def update(self, actual: State, wish: State) -> None:
        """Put it anew."""
        self.create(wish)

    def delete(self) -> None:
        """Remove it."""
        self.aws.find(
            SERVICE, "DeleteScheduledAction", MISSING, **self.of.params, ScheduledActionName=self.name
        )


def find_target(aws: Aws, of: Dimension) -> dict[str, Any] | None:
    """The registered target of `of`, if any."""
    params = {**of.params, "ResourceIds": [of.resource]}
    del params["ResourceId"]
    return next(iter(aws.pages(SERVICE, "DescribeScalableTargets", "ScalableTargets", **params)), None)


def find_policies(aws: Aws, of: Dimension) -> dict[str, dict[str, Any]]:
    """The target-tracking policies of `of`, by name."""
    found = aws.pages(SERVICE, "DescribeScalingPolicies", "ScalingPolicies", **of.params)
    return {p["PolicyName"]: p for p in found if p["PolicyType"] == "TargetTrackingScaling"}


def find_actions(aws: Aws, of: Dimension) -> dict[str, dict[str, Any]]:
    """The scheduled actions of `of`, by name."""
    found = aws.pages(SERVICE, "DescribeScheduledActions", "ScheduledActions", **of.params)
    return {a["ScheduledActionName"]: a for a in found}


def normal(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as it was put, without what the API adds: ``DisableScaleIn`` when it is off, and None."""
    kept = {k: v for k, v in rule.items() if v not in (None, False)}
    return {**kept, "TargetValue": float(kept["TargetValue"])}
