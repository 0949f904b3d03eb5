"""Scalable targets, their policies and scheduled actions, as Application Auto Scaling remembers them."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.emulator.backends import alarms
from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.settings import ACCOUNT

ROLES = {
    "sagemaker": "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint",
    "lambda": "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency",
}
NOT_FOUND = "ObjectNotFoundException"


@dataclass(frozen=True)
class Key:
    """What identifies a scalable target."""

    region: str
    resource: str
    dimension: str
    namespace: str

    @classmethod
    def of(cls, call: Call) -> Key:
        """The target that a call is about."""
        wish = call.params
        return cls(call.region, wish["ResourceId"], wish["ScalableDimension"], wish["ServiceNamespace"])

    def words(self) -> str:
        """As the service's messages name it."""
        where = f"resource ID: {self.resource}, scalable dimension: {self.dimension}"
        return f"service namespace: {self.namespace}, {where}"

    def members(self) -> dict[str, Any]:
        """As the service's answers name it."""
        return {
            "ServiceNamespace": self.namespace,
            "ResourceId": self.resource,
            "ScalableDimension": self.dimension,
        }


@dataclass
class Target:
    """A scalable target with all that hangs on it."""

    key: Key
    low: int
    high: int
    suspended: dict[str, bool] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    actions: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def role(self) -> str:
        """The service-linked role by which it is scaled."""
        host = f"{self.key.namespace}.application-autoscaling.amazonaws.com"
        return f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{host}/{ROLES[self.key.namespace]}"

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:application-autoscaling:{self.key.region}:{ACCOUNT}:scalable-target/{self.identity}"


class Scaling:
    """All targets of all regions."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._targets: dict[Key, Target] = {}

    def find(self, key: Key) -> Target | None:
        """A target, or None."""
        return self._targets.get(key)

    def get(self, key: Key) -> Target:
        """A target.

        Raises:
            Refused: it isn't registered.
        """
        target = self._targets.get(key)
        if target is None:
            raise Refused(f"No scalable target registered for {key.words()}", code=NOT_FOUND)
        return target

    def add(self, target: Target) -> None:
        """Keep a new target."""
        self._targets[target.key] = target

    def remove(self, key: Key) -> None:
        """Forget a target with its policies, their alarms, and its scheduled actions."""
        with self.lock:
            target = self._targets.pop(key)
            for policy in target.policies.values():
                alarms.delete(key.region, [a["AlarmName"] for a in policy["Alarms"]])

    def of_region(self, region: str) -> list[Target]:
        """The targets of a region, oldest first."""
        with self.lock:
            return [t for t in self._targets.values() if t.key.region == region]

    def forget(self, region: str, start: str) -> None:
        """Remove the targets whose resource id is `start`, or begins with it where it ends with a colon."""
        for target in self.of_region(region):
            resource = target.key.resource
            if resource == start or (start.endswith(":") and resource.startswith(start)):
                self.remove(target.key)

    def forget_endpoint(self, region: str, endpoint: str) -> None:
        """Remove the targets of an endpoint's variants."""
        for target in self.of_region(region):
            if target.key.resource.startswith(f"endpoint/{endpoint}/variant/"):
                self.remove(target.key)

    def clear(self) -> None:
        """Forget everything."""
        self._targets.clear()
