"""Requests shared by two versions, and other numbers of copies for what runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.errors import DeployFailed, NotFound, NotSupported, SpecError
from clouddeploy.model import Model
from clouddeploy.providers.aws.role import trust_policy
from clouddeploy.spec import Access, Autoscaling, Schedule
from clouddeploy.testing.models import linear_model
from tests.unit.aws.test_client import refusal
from tests.unit.aws_lambda.conftest import KEPT_RUNNING, WISH, Bench
from tests.unit.aws_lambda.fake_lambda import ACCOUNT

TRUST = json.dumps(trust_policy("lambda.amazonaws.com"))
SHARED: dict[str, Any] = {**WISH, "autoscaling": KEPT_RUNNING}


def two_releases(bench: Bench, model: Model, newer: Model, **wish: Any) -> tuple[str, str]:
    """Deploy both models; their releases, the older first."""
    old = bench.deployer().deploy(model, "digits", **{**WISH, **wish}).status().release
    new = bench.deployer().deploy(newer, "digits", **{**WISH, **wish}).status().release
    return old, new


def test_a_split_gives_the_alias_a_weight_and_changes_nothing_else(
    bench: Bench, model: Model, newer: Model
) -> None:
    old, new = two_releases(bench, model, newer)
    deployer = bench.deployer()
    endpoint = deployer.split("digits", {old: 90, new[:6]: 10})
    assert [o for o in bench.changing() if o not in ("PutObject", "DeleteObject")] == ["UpdateAlias"]
    alias = bench.cloud.functions["digits"]["aliases"]["live"]
    assert alias["FunctionVersion"] == "1"
    assert alias["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.1}}
    assert endpoint.traffic == {old: 90, new: 10}
    bench.deployer().split("digits", {new: 100})
    assert endpoint.traffic == {new: 100}
    assert bench.cloud.functions["digits"]["aliases"]["live"]["FunctionVersion"] == "2"


def test_weights_that_others_set_are_told_whatever_they_are(bench: Bench, model: Model, newer: Model) -> None:
    old, new = two_releases(bench, model, newer)
    alias = bench.cloud.functions["digits"]["aliases"]["live"]
    alias["RoutingConfig"] = {"AdditionalVersionWeights": {"1": 0.333}}
    assert bench.deployer().endpoint("digits").traffic == {new: 67, old: 33}
    alias["RoutingConfig"] = {"AdditionalVersionWeights": {"1": 1.0}}
    assert bench.deployer().endpoint("digits").traffic == {old: 100}
    alias["RoutingConfig"] = {"AdditionalVersionWeights": {"1": 0.0}}
    assert bench.deployer().endpoint("digits").traffic == {new: 100}


def failing(operation: str) -> Callable[[str, str, Mapping[str, Any]], None]:
    """Refuses one operation."""

    def before(_: str, called: str, __: Mapping[str, Any]) -> None:
        if called == operation:
            raise refusal("AccessDeniedException", "not this one")

    return before


def test_a_failed_deploy_over_a_split_leaves_the_split(
    bench: Bench, model: Model, newer: Model, tmp_path: Path
) -> None:
    old, new = two_releases(bench, model, newer)
    bench.deployer().split("digits", {old: 75, new: 25})
    before = bench.inventory()
    third = linear_model(tmp_path, 3.0)
    with pytest.raises(DeployFailed):
        bench.deployer(failing("PutProvisionedConcurrencyConfig")).deploy(third, "digits", **SHARED)
    assert bench.deployer().endpoint("digits").traffic == {old: 75, new: 25}
    assert bench.inventory() == before


def test_the_plan_of_a_deploy_over_a_split_says_that_it_ends(
    bench: Bench, model: Model, newer: Model
) -> None:
    old, new = two_releases(bench, model, newer)
    bench.deployer().split("digits", {old: 75, new: 25})
    plan = bench.deployer().plan(newer, "digits", **WISH)
    (step,) = [s for s in plan.steps if s.changes]
    assert step.changes == {"serves": (old, new), "shares": ({new: 25}, {})}


def test_a_rollback_in_the_middle_of_a_canary_gives_one_release_everything(
    bench: Bench, model: Model, newer: Model
) -> None:
    old, new = two_releases(bench, model, newer)
    endpoint = bench.deployer().split("digits", {new: 60, old: 40})
    bench.deployer().rollback("digits", old)
    assert endpoint.traffic == {old: 100}


def test_three_releases_can_not_share(bench: Bench, model: Model, newer: Model, tmp_path: Path) -> None:
    old, new = two_releases(bench, model, newer, keep_releases=3)
    third = bench.deployer().deploy(linear_model(tmp_path, 3.0), "digits", **{**WISH, "keep_releases": 3})
    with pytest.raises(NotSupported, match="2 versions at most"):
        bench.deployer().split("digits", {old: 50, new: 30, third.status().release: 20})


def test_releases_with_different_roles_can_not_share(bench: Bench, model: Model, newer: Model) -> None:
    bench.cloud("iam", "CreateRole", {"RoleName": "theirs", "AssumeRolePolicyDocument": TRUST})
    role = f"arn:aws:iam::{ACCOUNT}:role/theirs"
    old = bench.deployer().deploy(model, "digits", **WISH).status().release
    new = bench.deployer().deploy(newer, "digits", access=Access(role=role), **WISH).status().release
    with pytest.raises(NotSupported, match="different roles"):
        bench.deployer().split("digits", {old: 50, new: 50})
    bench.deployer().split("digits", {old: 100})


def test_what_does_not_run_has_no_traffic_and_is_neither_split_nor_scaled(bench: Bench) -> None:
    with pytest.raises(NotFound):
        bench.deployer().provider.traffic("digits")
    with pytest.raises(NotFound):
        bench.deployer().split("digits", {"0123456789": 100})
    with pytest.raises(NotFound):
        bench.deployer().scale("digits", KEPT_RUNNING)


def test_scaling_adds_copies_changes_their_rules_and_takes_them_away(bench: Bench, model: Model) -> None:
    wish = {**WISH, "tags": {"team": "vision"}}
    endpoint = bench.deployer().deploy(model, "digits", **wish)
    bare = bench.inventory()
    endpoint.scale(KEPT_RUNNING)
    full = bench.inventory()
    assert full != bare
    with_rules = {**wish, "autoscaling": KEPT_RUNNING}
    assert not bench.deployer().plan(model, "digits", **with_rules).changes
    endpoint.scale(Autoscaling(min=1, max=5, schedules=(Schedule(cron="0 8 * * *", min=2),)))
    assert bench.inventory() != full
    endpoint.scale(KEPT_RUNNING)
    assert bench.inventory() == full
    endpoint.scale(Autoscaling(min=0))
    assert bench.inventory() == bare
    assert not bench.deployer().plan(model, "digits", **wish).changes


@pytest.mark.parametrize(
    ("wish", "options", "scaling", "error", "text"),
    [
        ({}, {}, Autoscaling(max=4, concurrency=2), NotSupported, "one request at a time"),
        ({}, {"reserved_concurrency": 3}, Autoscaling(min=2, max=4), SpecError, "reserved"),
        ({}, {"snap_start": True}, Autoscaling(min=2, max=4), NotSupported, "SnapStart"),
        ({}, {}, Autoscaling(min=950, max=960), SpecError, "must stay unreserved"),
        ({}, {}, Autoscaling(max=4, schedules=(Schedule(cron="61 8 * * *", min=2),)), SpecError, "61"),
    ],
)
def test_a_policy_that_can_not_be_held_is_refused_and_changes_nothing(
    bench: Bench,
    model: Model,
    wish: dict[str, Any],
    options: dict[str, Any],
    scaling: Autoscaling,
    error: type[Exception],
    text: str,
) -> None:
    bench.deployer(**options).deploy(model, "digits", **{**WISH, **wish})
    before = bench.inventory()
    with pytest.raises(error, match=text):
        bench.deployer(**options).scale("digits", scaling)
    assert bench.inventory() == before


def test_what_is_split_takes_no_other_number_of_copies(bench: Bench, model: Model, newer: Model) -> None:
    old, new = two_releases(bench, model, newer, autoscaling=KEPT_RUNNING)
    bench.deployer().split("digits", {old: 50, new: 50})
    with pytest.raises(NotSupported, match="shared by two releases"):
        bench.deployer().scale("digits", Autoscaling(min=3, max=6))
    bench.deployer().deploy(newer, "digits", **{**WISH, "autoscaling": Autoscaling(min=3, max=6)})
    assert bench.deployer().endpoint("digits").traffic == {new: 100}


def test_a_split_waits_for_the_copies_that_are_kept_running(bench: Bench, model: Model, newer: Model) -> None:
    old, new = two_releases(bench, model, newer, autoscaling=KEPT_RUNNING)
    bench.cloud.provisioning = "FAILED"
    with pytest.raises(DeployFailed, match="no capacity"):
        bench.deployer().split("digits", {old: 50, new: 50})
    bench.cloud.provisioning = "READY"
    assert bench.deployer().endpoint("digits").traffic == {new: 100}
