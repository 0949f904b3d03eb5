"""Alarms on a service: alert policies, made, found again, changed and removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from clouddeploy.errors import DeployFailed, SpecError
from clouddeploy.model import Model
from clouddeploy.spec import Alarm
from tests.unit.cloud_run.conftest import NAME, PROJECT, WISH, Bench

ALARMS = (
    Alarm(metric="errors_5xx", above=2, minutes=3, notify=(f"projects/{PROJECT}/notificationChannels/7",)),
    Alarm(metric="latency_ms", above=250.5),
)
FIRST, SECOND = f"clouddeploy-{NAME}-errors_5xx", f"clouddeploy-{NAME}-latency_ms"
LABEL = "clouddeploy-alarms"


def policies(bench: Bench) -> dict[str, dict[str, Any]]:
    """The policies by their display names."""
    return {policy["displayName"]: policy for policy in bench.cloud.alerts.values()}


def asked(bench: Bench) -> list[str]:
    """The recorded methods of Cloud Monitoring."""
    return [method for service, method in bench.calls if service == "monitoring"]


def foreign(bench: Bench, **labels: str) -> str:
    """Make a policy that has our display name and isn't ours; its name."""
    body = {
        "displayName": FIRST,
        "combiner": "OR",
        "conditions": [{"displayName": "c"}],
        "userLabels": labels,
    }
    params = {"name": f"projects/{PROJECT}", "body": body}
    return str(bench.transport("monitoring", "CreateAlertPolicy", params)["name"])


def test_each_alarm_is_a_policy_and_a_removal_takes_them_all(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS, tags={"team": "a"})
    assert asked(bench) == ["ListAlertPolicies", "CreateAlertPolicy", "CreateAlertPolicy"]
    assert bench.service()["labels"][LABEL] == "1"
    found = policies(bench)
    assert found.keys() == {FIRST, SECOND}
    assert found[FIRST]["notificationChannels"] == [f"projects/{PROJECT}/notificationChannels/7"]
    assert found[FIRST]["userLabels"]["clouddeploy-deployment"] == NAME
    assert found[FIRST]["userLabels"]["team"] == "a"
    (condition,) = found[FIRST]["conditions"]
    threshold = condition["conditionThreshold"]
    assert 'metric.labels.response_code_class="5xx"' in threshold["filter"]
    assert 'resource.labels.service_name="digits"' in threshold["filter"]
    assert (threshold["thresholdValue"], threshold["duration"]) == (2.0, "120s")
    (condition,) = found[SECOND]["conditions"]
    assert "run.googleapis.com/request_latencies" in condition["conditionThreshold"]["filter"]
    assert condition["conditionThreshold"]["duration"] == "0s"
    assert "evaluationMissingData" not in condition["conditionThreshold"], "it takes a minute at least"
    bench.deployer().delete(NAME)
    assert asked(bench).count("ListAlertPolicies") == 1
    assert bench.inventory() == {}


def test_without_alarms_cloud_monitoring_is_never_asked(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH)
    assert asked(bench) == []
    assert LABEL not in bench.service()["labels"]
    bench.deployer().deploy(newer, NAME, **WISH)
    assert asked(bench) == []
    bench.deployer().delete(NAME)
    assert asked(bench) == []


def test_an_unchanged_deploy_lists_once_and_changes_nothing(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS)
    assert not bench.deployer().plan(model, NAME, **WISH, alarms=ALARMS).changes
    bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS)
    assert bench.changing() == []
    assert asked(bench) == ["ListAlertPolicies"]


def test_a_channel_that_is_named_by_the_projects_number_is_the_same_one(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS)
    policies(bench)[FIRST]["notificationChannels"] = ["projects/123456/notificationChannels/7"]
    assert not bench.deployer().plan(model, NAME, **WISH, alarms=ALARMS).changes


def test_a_change_is_made_in_place_and_stale_alarms_go(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS)
    before = policies(bench)[FIRST]
    kept = (before["name"], before["conditions"][0]["name"])
    revisions = set(bench.cloud.revisions)
    changed = (Alarm(metric="errors_5xx", above=9),)
    bench.deployer().deploy(model, NAME, **WISH, alarms=changed)
    assert asked(bench).count("UpdateAlertPolicy") == asked(bench).count("DeleteAlertPolicy") == 1
    (after,) = policies(bench).values()
    assert (after["name"], after["conditions"][0]["name"]) == kept
    assert after["conditions"][0]["conditionThreshold"]["thresholdValue"] == 9
    assert after["notificationChannels"] == []
    assert set(bench.cloud.revisions) == revisions, "an alarm makes no revision"
    bench.deployer().deploy(model, NAME, **WISH)
    assert policies(bench) == {}
    assert bench.service()["labels"][LABEL] == "1", "so that a deploy that is killed leaves none behind"
    assert not bench.deployer().plan(model, NAME, **WISH).changes
    bench.deployer().delete(NAME)
    assert bench.inventory() == {}


def test_the_first_alarm_on_a_service_that_serves_changes_no_release(bench: Bench, model: Model) -> None:
    endpoint = bench.deployer().deploy(model, NAME, **WISH)
    before, revisions = endpoint.status().release, len(bench.cloud.revisions)
    bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS)
    assert policies(bench).keys() == {FIRST, SECOND}
    assert endpoint.traffic == {before: 100}
    assert len(bench.cloud.revisions) == revisions
    assert not bench.deployer().plan(model, NAME, **WISH, alarms=ALARMS).changes
    bench.deployer().delete(NAME)
    assert bench.inventory() == {}


def test_a_change_that_fails_puts_alarms_back(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS)

    def refusing(service: str, method: str, params: Mapping[str, Any]) -> None:
        if method == "CreateAlertPolicy":
            from google.api_core.exceptions import PermissionDenied

            text = "Permission 'monitoring.alertPolicies.create' denied"
            raise PermissionDenied(text)  # type: ignore[no-untyped-call]

    changed = (Alarm(metric="errors_5xx", above=9), Alarm(metric="errors_4xx", above=9))
    with pytest.raises(DeployFailed, match=r"monitoring\.alertPolicies\.create"):
        bench.deployer(refusing).deploy(newer, NAME, **WISH, alarms=changed)
    assert policies(bench).keys() == {FIRST, SECOND}
    assert not bench.deployer().plan(model, NAME, **WISH, alarms=ALARMS).changes


def test_policies_of_others_with_the_same_name_stay_as_they_are(bench: Bench, model: Model) -> None:
    plain = foreign(bench)
    elsewhere = foreign(bench, **{"clouddeploy-deployment": NAME, "clouddeploy-region": "us-east1"})
    bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS)
    assert len(bench.cloud.alerts) == 4
    bench.deployer().delete(NAME)
    assert set(bench.cloud.alerts) == {plain, elsewhere}


@pytest.mark.parametrize("method", ["CreateAlertPolicy", "UpdateAlertPolicy", "DeleteAlertPolicy"])
def test_an_answer_that_gets_lost_makes_no_second_policy(bench: Bench, model: Model, method: str) -> None:
    lost: list[str] = []

    def losing(service: str, called: str, params: Mapping[str, Any]) -> None:
        if called == method and not lost:
            lost.append(called)
            bench.transport(service, called, params)
            raise ConnectionResetError("the answer was lost")

    if method != "CreateAlertPolicy":
        bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS)
    wanted = ALARMS if method == "CreateAlertPolicy" else (Alarm(metric="errors_5xx", above=5),)
    bench.deployer(losing).deploy(model, NAME, **WISH, alarms=wanted)
    assert lost
    assert sorted(p["displayName"] for p in bench.cloud.alerts.values()) == [FIRST, SECOND][: len(wanted)]
    assert not bench.deployer().plan(model, NAME, **WISH, alarms=wanted).changes


def test_of_two_policies_for_one_alarm_one_stays(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS)
    body = {k: v for k, v in policies(bench)[FIRST].items() if k != "name"}
    bench.transport("monitoring", "CreateAlertPolicy", {"name": f"projects/{PROJECT}", "body": body})
    bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS)
    assert len(bench.cloud.alerts) == 2


def test_alarms_that_google_refuses_leave_everything_as_it_was(
    bench: Bench, model: Model, newer: Model
) -> None:
    from google.api_core.exceptions import PermissionDenied

    def refusing(service: str, method: str, params: Mapping[str, Any]) -> None:
        if method == "CreateAlertPolicy":
            text = "Permission 'monitoring.alertPolicies.create' denied"
            raise PermissionDenied(text)  # type: ignore[no-untyped-call]

    with pytest.raises(DeployFailed, match=r"monitoring\.alertPolicies\.create"):
        bench.deployer(refusing).deploy(model, NAME, **WISH, alarms=ALARMS)
    assert bench.inventory() == {}
    bench.deployer().deploy(model, NAME, **WISH)
    before = bench.inventory()
    with pytest.raises(DeployFailed, match=r"monitoring\.alertPolicies\.create"):
        bench.deployer(refusing).deploy(newer, NAME, **WISH, alarms=ALARMS)
    assert bench.inventory() == before
    assert LABEL not in bench.service()["labels"]


def test_alarms_of_a_service_that_somebody_removed_go_with_what_is_left(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, NAME, **WISH, alarms=ALARMS)
    bench.transport("run", "DeleteService", {"name": bench.service()["name"]})
    bench.deployer().delete(NAME)
    assert bench.inventory() == {}


def test_a_channel_that_is_none_is_refused_without_a_call(bench: Bench, model: Model) -> None:
    wrong = (Alarm(metric="errors_5xx", above=1, notify=("ops@example.com",)),)
    with pytest.raises(SpecError, match="notificationChannels") as raised:
        bench.deployer().deploy(model, NAME, **WISH, alarms=wrong)
    assert "ops@example.com" in raised.value.what
    assert bench.calls == []


def test_a_finding_says_that_an_alarm_rolls_nothing_back(bench: Bench, model: Model) -> None:
    plan = bench.deployer().plan(model, NAME, **WISH, alarms=ALARMS)
    told = {f.field: f for f in plan.findings if f.field.startswith("alarms.")}
    assert told.keys() == {"alarms.errors_5xx", "alarms.latency_ms"}
    assert all(f.support == "approximated" and "rolls no update back" in f.reason for f in told.values())
