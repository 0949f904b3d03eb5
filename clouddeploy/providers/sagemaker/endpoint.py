"""The endpoint: what answers requests. Updated in place, without downtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from clouddeploy.engine.resource import State
from clouddeploy.engine.waiting import wait_until
from clouddeploy.errors import CloudDeployError, CloudError, DeployFailed, Throttled
from clouddeploy.providers.aws import faults, tags
from clouddeploy.providers.aws.logs import LogGroup, last_lines
from clouddeploy.providers.sagemaker import names
from clouddeploy.providers.sagemaker.model import assuming
from clouddeploy.providers.sagemaker.site import EXISTS, NO_ENDPOINT, Site, tags_of, write_tags
from clouddeploy.providers.sagemaker.suspension import resumed, suspended

T = TypeVar("T")
CHANGING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
DEAD = frozenset({"Failed", "OutOfService"})
"""Nothing can be done with such an endpoint but delete it (DescribeEndpoint, API reference)."""
LONGEST_POLL_S = 15.0


@dataclass(frozen=True)
class Endpoint:
    """An endpoint.

    Args:
        site: where it lives.
        config: name of the endpoint config that it should serve.
        tags: all its tags.
        role: ARN of the execution role, for messages.
        deployment_config: how an update shifts traffic (``DeploymentConfig``); None lets SageMaker choose.
        scaled: autoscaling owns the number of copies, so an update keeps it.
        needs: keys of what must exist before.
    """

    site: Site
    config: str
    tags: Mapping[str, str]
    role: str = ""
    deployment_config: Mapping[str, Any] | None = None
    scaled: bool = False
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "endpoint"
    immutable: ClassVar[frozenset[str]] = frozenset({"alive"})

    @property
    def key(self) -> str:
        """``endpoint/<name>``."""
        return f"endpoint/{self.site.name}"

    @property
    def removal(self) -> str:
        """Removes it; config, model and data stay."""
        return f"aws sagemaker delete-endpoint --endpoint-name {self.site.name}"

    def desired(self) -> State:
        """The config, the tags, alive (not failed for good), and settled (not under change)."""
        return {"config": self.config, "tags": dict(self.tags), "alive": True, "settled": True}

    def read(self) -> State | None:
        """As SageMaker has it.

        Raises:
            NameConflict: an endpoint of that name isn't this deployment's.
        """
        if self.site.seen is None and self.site.survey.untouched:
            return None
        found = self.describe()
        return None if found is None else self._state(found)

    def _state(self, found: Mapping[str, Any]) -> State:
        carried = tags_of(self.site.aws, found["EndpointArn"])
        if not tags.is_ours(carried, self.site.name):
            fix = f"use another name, remove it ({self.removal}), or take it over by provider.adopt()"
            raise tags.conflict("endpoint", self.site.name, carried, self.site.name, fix)
        status = found["EndpointStatus"]
        return {
            "config": found.get("EndpointConfigName", ""),
            "tags": carried,
            "alive": status not in DEAD,
            "settled": status not in CHANGING,
        }

    def describe(self) -> dict[str, Any] | None:
        """What DescribeEndpoint answers, or None."""
        return self.site.aws.find("sagemaker", "DescribeEndpoint", NO_ENDPOINT, EndpointName=self.site.name)

    def create(self, wish: State) -> None:
        """Make it and wait until it serves. One that is there and ours is brought to `wish`."""
        self.site.survey.spend()
        try:
            assuming(lambda: self._create(wish), self.role, made=self.role == self.site.role_arn)
        except CloudError as error:
            found = self.describe() if faults.matches(error, EXISTS) else None
            if found is None:
                raise
            actual = self._state(found)
            if actual["config"] != wish["config"] or actual["tags"] != wish["tags"]:
                self.update(actual, wish)
                return
        self._await_serving(wish["config"])

    def _create(self, wish: State) -> None:
        self.site.aws(
            "sagemaker",
            "CreateEndpoint",
            EndpointName=self.site.name,
            EndpointConfigName=wish["config"],
            Tags=tags.as_list(wish["tags"]),
        )

    def update(self, actual: State, wish: State) -> None:
        """Serve `wish`'s config without downtime, and wait until it does.

        What autoscaling forbids while it is on (another machine type) is done with it off, and it is
        put back as it was in every case.
        """
        self.site.survey.spend()
        found = self._await_settled()
        if found is None or found["EndpointStatus"] in DEAD:
            self.delete()
            self.create(wish)
            return
        if found["EndpointConfigName"] != wish["config"]:
            held = suspended(self.site, found["EndpointConfigName"], wish["config"])
            try:
                self._shift(wish["config"])
            finally:
                resumed(self.site, held)
        write_tags(self.site.aws, found["EndpointArn"], actual["tags"], wish["tags"])

    def _shift(self, config: str) -> None:
        params: dict[str, Any] = {"EndpointName": self.site.name, "EndpointConfigName": config}
        if self.scaled:
            params["RetainAllVariantProperties"] = True
            params["ExcludeRetainedVariantProperties"] = [{"VariantPropertyType": "DesiredWeight"}]
        if self.deployment_config:
            params["DeploymentConfig"] = dict(self.deployment_config)
        try:
            self.site.aws("sagemaker", "UpdateEndpoint", **params)
        except CloudError as error:
            # The answer to an attempt before may have been lost: then the update is under way or done.
            # Or SageMaker maintains the endpoint just now: then it is asked again afterwards.
            found = self._await_settled()
            if found is None or found.get("EndpointConfigName") != config:
                if not is_busy(error):
                    raise
                self.site.aws("sagemaker", "UpdateEndpoint", **params)
        self._await_serving(config)

    def delete(self) -> None:
        """Remove it and its log group, and wait until it is gone; one under change is waited for first."""
        self.site.survey.spend()
        self._wait(self._deleted, f"endpoint {self.site.name} to be gone")
        LogGroup(self.site.aws, names.log_group(self.site.name)).delete()

    def _deleted(self) -> bool:
        try:
            gone = self.site.aws.find("sagemaker", "DeleteEndpoint", NO_ENDPOINT, EndpointName=self.site.name)
        except CloudError as error:
            if is_busy(error):
                return False
            raise
        return gone is None or self.describe() is None

    def _await_settled(self) -> dict[str, Any] | None:
        def look() -> tuple[dict[str, Any] | None] | None:
            found = self.describe()
            return None if found and found["EndpointStatus"] in CHANGING else (found,)

        return self._wait(look, f"endpoint {self.site.name} to be out of its change")[0]

    def _await_serving(self, config: str) -> None:
        def look() -> dict[str, Any] | None:
            found = self.site.aws("sagemaker", "DescribeEndpoint", EndpointName=self.site.name)
            return None if found["EndpointStatus"] in CHANGING else found

        found = self._wait(look, f"endpoint {self.site.name} to be InService")
        status, serving = found["EndpointStatus"], found.get("EndpointConfigName")
        if status == "InService" and serving == config:
            return
        reason = found.get("FailureReason") or "SageMaker gives no reason"
        rolled_back = status == "InService"
        raise DeployFailed(
            f"endpoint {self.site.name!r} "
            + (f"was rolled back to {serving!r}" if rolled_back else f"ended as {status}"),
            why=reason,
            fix="mend what the reason and the log lines name, then deploy again",
            log_tail=last_lines(self.site.aws, names.log_group(self.site.name)),
        )

    def _wait(self, look: Callable[[], T | None], what: str) -> T:
        def patient() -> T | None:
            try:
                return look()
            except CloudDeployError as error:
                if is_passing(error):
                    return None  # one look that fails is no reason to give up on minutes of work
                raise

        first_s = max(self.site.poll_s, 0.02)
        return wait_until(
            patient,
            what=what,
            timeout_s=self.site.timeout_s,
            first_s=first_s,
            most_s=max(first_s, LONGEST_POLL_S),
        )


def is_busy(error: CloudDeployError) -> bool:
    """Whether the endpoint is under change, so that nothing else can be done with it just now."""
    return "in-progress" in error.why


def is_passing(error: CloudDeployError) -> bool:
    """Whether the same look may succeed later."""
    cause = error.__cause__
    return isinstance(error, Throttled) or (cause is not None and faults.is_passing(cause))
