"""Alert policies as resources, on a Cloud Monitoring that is a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from clouddeploy.engine.resource import differences
from clouddeploy.errors import CloudDeployError, SpecError
from clouddeploy.providers.gcp.alarms import AlertPolicy, Policies
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.run import alarming
from clouddeploy.spec import Alarm
from tests.unit.gcp.conftest import PROJECT, REGION

LABELS = {"clouddeploy-deployment": "digits", "clouddeploy-target": "t", "clouddeploy-region": REGION}
WISH: dict[str, Any] = {
    "displayName": "clouddeploy-digits-errors_5xx",
    "combiner": "OR",
    "enabled": True,
    "conditions": [{"displayName": "c", "conditionThreshold": {"thresholdValue": 0.0, "duration": "0s"}}],
    "notificationChannels": [],
    "userLabels": {**LABELS, "clouddeploy-metric": "errors_5xx"},
}


@dataclass
class Monitoring:
    """Cloud Monitoring, with one policy on a page of its listing.

    Args:
        failing: errors by method, each raised once, after the call took effect.
    """

    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    failing: dict[str, Exception] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def __call__(self, service: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append(method)
        answer: dict[str, Any] = getattr(self, method)(params)
        if method in self.failing:
            raise self.failing.pop(method)
        return answer

    def ListAlertPolicies(self, params: Mapping[str, Any]) -> dict[str, Any]:
        assert params["filter"] == 'user_labels."clouddeploy-deployment"="digits"'
        names, at = sorted(self.policies), int(params.get("pageToken", 0))
        found: dict[str, Any] = {"alertPolicies": [self.policies[n] for n in names[at : at + 1]]}
        return {**found, "nextPageToken": str(at + 1)} if at + 1 < len(names) else found

    def CreateAlertPolicy(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return self.add(params["body"])

    def UpdateAlertPolicy(self, params: Mapping[str, Any]) -> dict[str, Any]:
        assert set(params["updateMask"].split(",")) == params["body"].keys() - {"name"}
        self.policies[params["name"]].update(params["body"])
        return self.policies[params["name"]]

    def DeleteAlertPolicy(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if self.policies.pop(params["name"], None) is None:
            from google.api_core.exceptions import NotFound

            raise NotFound("no such policy")  # type: ignore[no-untyped-call]
        return {}

    def add(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a policy, which gets names as Google gives them."""
        name = f"projects/{PROJECT}/alertPolicies/{len(self.calls)}{len(self.policies)}"
        conditions = [{**c, "name": f"{name}/conditions/{n}"} for n, c in enumerate(body["conditions"])]
        self.policies[name] = {**body, "name": name, "conditions": conditions}
        return self.policies[name]


def policy(cloud: Monitoring, wish: Mapping[str, Any] = WISH, *, exist: bool = True) -> AlertPolicy:
    """The resource, as a new deploy has it."""
    gcp = Gcp(project=PROJECT, region=REGION, credentials="anonymous", transport=cloud, retry_delay_s=0.0)
    return AlertPolicy(Policies(gcp, "digits", "t", lambda: exist), "errors_5xx", wish)


def test_what_is_made_is_read_as_it_was_wished_though_defaults_are_left_out() -> None:
    cloud = Monitoring()
    policy(cloud).create(WISH)
    (made,) = cloud.policies.values()
    made["conditions"][0]["conditionThreshold"] = {}
    made.pop("notificationChannels")
    made.pop("enabled")
    found = policy(cloud).read()
    assert found is not None
    assert differences(found, policy(cloud).desired()) == {}


def test_where_none_are_to_be_expected_none_are_looked_for() -> None:
    cloud = Monitoring()
    resource = policy(cloud, exist=False)
    assert resource.read() is None
    assert cloud.calls == []
    resource.create(WISH)
    assert resource.read() is not None
    assert cloud.calls == ["ListAlertPolicies", "CreateAlertPolicy"]


def test_one_that_is_ours_is_found_on_any_page_and_adopted() -> None:
    cloud = Monitoring()
    for labels in ({}, {**LABELS, "clouddeploy-region": "elsewhere"}, LABELS):
        cloud.add({**WISH, "enabled": False, "userLabels": {**labels, "clouddeploy-metric": "errors_5xx"}})
    policy(cloud).create(WISH)
    assert [p["enabled"] for p in cloud.policies.values()] == [False, False, True]


@pytest.mark.parametrize("method", ["CreateAlertPolicy", "UpdateAlertPolicy", "DeleteAlertPolicy"])
def test_a_lost_answer_is_made_up_for(method: str) -> None:
    cloud = Monitoring(failing={method: ConnectionResetError("the answer was lost")})
    policy(cloud).create(WISH)
    assert len(cloud.policies) == 1
    wish = {**WISH, "notificationChannels": ["projects/p/notificationChannels/1"]}
    resource = policy(cloud, wish)
    resource.update(resource.read() or {}, wish)
    assert policy(cloud, wish).read() == {**wish, "copies": 1}
    policy(cloud).delete()
    assert cloud.policies == {}
    policy(cloud).delete()
    assert cloud.failing == {}


def test_a_refusal_is_told_and_not_tried_again() -> None:
    from google.api_core.exceptions import PermissionDenied

    text = "Permission 'monitoring.alertPolicies.create' denied"
    cloud = Monitoring(failing={"CreateAlertPolicy": PermissionDenied(text)})  # type: ignore[no-untyped-call]
    with pytest.raises(CloudDeployError, match=r"monitoring\.alertPolicies\.create"):
        policy(cloud).create(WISH)
    assert cloud.calls.count("CreateAlertPolicy") == 1


def test_the_command_for_a_removal_by_hand_takes_ours_only() -> None:
    removal = policy(Monitoring()).removal
    for key, value in {**LABELS, "clouddeploy-metric": "errors_5xx"}.items():
        assert f"userLabels.{key}={value}" in removal


@pytest.mark.parametrize(
    "channel", ["", "7", "arn:aws:sns:eu-west-1:1:t", "projects/p/topics/t", "a@example.com"]
)
def test_what_is_no_channel_is_refused(channel: str) -> None:
    with pytest.raises(SpecError, match="notificationChannels"):
        alarming.refuse_alarms([Alarm(metric="latency_ms", above=1, notify=(channel,))])
