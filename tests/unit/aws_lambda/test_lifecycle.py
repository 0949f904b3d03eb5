"""Deploys, updates, rollbacks and removals, and the calls they make."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from clouddeploy.errors import DeployFailed, NameConflict, NotFound, SpecError
from clouddeploy.model import Model
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.role import trust_policy
from clouddeploy.providers.aws_lambda.function import CODE_TAG
from clouddeploy.providers.aws_lambda.permissions import OPERATIONS
from clouddeploy.spec import Access, Autoscaling, Compute, Schedule
from tests.unit.aws.test_client import refusal
from tests.unit.aws_lambda.conftest import ALARM, KEPT_RUNNING, WISH, Bench, Text
from tests.unit.aws_lambda.fake_lambda import ACCOUNT, BROKEN, REGION

EVERYTHING: dict[str, Any] = {
    **WISH,
    "autoscaling": Autoscaling(
        min=2, max=4, utilization=0.6, schedules=(Schedule(cron="0 8 * * 1-5", min=3),)
    ),
    "alarms": (ALARM,),
    "access": Access(public=True, cors_origins=("https://app.example.com",)),
    "env": {"GREETING": "hello"},
    "tags": {"team": "vision"},
}
OPTIONS: dict[str, Any] = {"url": "public", "on_failure": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"}
SCRIPT = Counter(
    GetCallerIdentity=1,
    CreateBucket=1,
    PutBucketTagging=1,
    PutObject=1,
    CreateRole=1,
    PutRolePolicy=1,
    CreateLogGroup=1,
    PutRetentionPolicy=1,
    CreateFunction=1,
    PublishVersion=1,
    CreateAlias=1,
    CreateFunctionUrlConfig=1,
    AddPermission=2,
    PutFunctionEventInvokeConfig=1,
    PutProvisionedConcurrencyConfig=1,
    GetProvisionedConcurrencyConfig=1,
    RegisterScalableTarget=1,
    PutScalingPolicy=1,
    PutScheduledAction=1,
    PutMetricAlarm=1,
    Invoke=1,
)
"""A minimal hand-written script for the same resources, which tries what it deployed."""


def served(bench: Bench, name: str = "digits") -> str:
    """What the alias answers."""
    return bench.deployer().endpoint(name).predict_raw(b"{}").body.decode()


def test_a_first_deploy_makes_at_most_1_3_times_the_calls_of_a_script(bench: Bench, model: Model) -> None:
    bench.deployer(**OPTIONS).deploy(model, "digits", **EVERYTHING)
    assert len(bench.calls) <= 1.3 * SCRIPT.total(), Counter(o for _, o in bench.calls)
    changes = Counter(bench.changing())
    assert changes == Counter({k: v for k, v in SCRIPT.items() if k[:3] not in ("Get", "Inv")}) + Counter(
        PutObject=2  # the lock's two
    )


def test_an_unchanged_deploy_changes_nothing_with_everything_in_it(bench: Bench, model: Model) -> None:
    bench.deployer(**OPTIONS).deploy(model, "digits", **EVERYTHING)
    before = bench.inventory()
    plan = bench.deployer(**OPTIONS).plan(model, "digits", **EVERYTHING)
    assert not plan.changes, str(plan)
    bench.deployer(**OPTIONS).deploy(model, "digits", **EVERYTHING)
    assert bench.changing() == []
    assert bench.inventory() == before


def test_delete_leaves_nothing_and_needs_no_wish(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer(**OPTIONS).deploy(model, "digits", **EVERYTHING)
    bench.deployer(**OPTIONS).deploy(newer, "digits", **EVERYTHING)
    bench.deployer().delete("digits")
    assert bench.inventory() == {}
    bench.deployer().delete("digits")
    assert bench.changing() == []
    assert bench.deployer().endpoint("digits").status().phase == "missing"


def test_a_delete_leaves_another_deployment_alone(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    before = bench.inventory()
    bench.deployer().deploy(model, "digits-2", **WISH)
    bench.deployer().delete("digits-2")
    assert bench.inventory() == before


def test_an_update_moves_the_alias_and_keeps_one_release(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    assert served(bench) == f"{model.digest[:12]} 3.13 arm64"
    bench.deployer().deploy(newer, "digits", **WISH)
    assert served(bench) == f"{newer.digest[:12]} 3.13 arm64"
    bench.deployer().deploy(model, "digits", compute=Compute(memory_mb=1024, architecture="arm64"))
    assert served(bench) == f"{model.digest[:12]} 3.13 arm64"
    provider = bench.provider()
    releases = provider.releases("digits")
    assert len(releases) == 2
    assert releases[0] == provider.status("digits").release
    kinds = Counter(key.partition("/")[0] for key in bench.inventory())
    assert (kinds["version"], kinds["object"]) == (2, 3)  # two zips and the lock


def test_the_alias_moves_last_and_points_to_what_was_tried(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    bench.deployer().deploy(newer, "digits", **WISH)
    order = [o for _, o in bench.calls]
    wanted = ["UpdateFunctionCode", "UpdateFunctionConfiguration", "PublishVersion", "Invoke", "UpdateAlias"]
    assert [o for o in order if o in wanted] == wanted
    assert bench.cloud.invocations[-1][0] == "2"


def test_keeping_no_release_removes_the_one_before_with_its_code(
    bench: Bench, model: Model, newer: Model
) -> None:
    bench.deployer().deploy(model, "digits", **WISH, keep_releases=0)
    bench.deployer().deploy(newer, "digits", **WISH, keep_releases=0)
    kinds = Counter(key.partition("/")[0] for key in bench.inventory())
    assert (kinds["version"], kinds["object"]) == (1, 2)


def test_rollback_moves_the_alias_alone_and_an_unknown_release_is_told(
    bench: Bench, model: Model, newer: Model
) -> None:
    deployer = bench.deployer()
    deployer.deploy(model, "digits", **WISH)
    release = deployer.endpoint("digits").status().release
    deployer.deploy(newer, "digits", **WISH)
    bench.deployer().rollback("digits")
    assert set(bench.changing()) == {"PutObject", "UpdateAlias"}
    assert served(bench) == f"{model.digest[:12]} 3.13 arm64"
    assert bench.deployer().endpoint("digits").status().release == release
    with pytest.raises(NotFound, match="0123456789"):
        bench.deployer().rollback("digits", "0123456789")
    bench.deployer().deploy(newer, "digits", **WISH)
    assert set(bench.changing()) == {"PutObject", "UpdateAlias"}


def test_a_release_that_cannot_start_fails_with_its_log_and_leaves_nothing(
    bench: Bench, model: Model
) -> None:
    broken = bench.deployer(packager=lambda model, **_: Text(BROKEN))
    with pytest.raises(DeployFailed) as caught:
        broken.deploy(model, "digits", **WISH)
    assert "broken on purpose" in str(caught.value)
    assert "it can't be loaded" in str(caught.value)
    assert bench.inventory() == {}


def test_a_broken_update_puts_everything_back(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    before, tags = bench.inventory(), dict(bench.cloud.functions["digits"]["tags"])
    with pytest.raises(DeployFailed, match="can't start"):
        bench.deployer(packager=lambda model, **_: Text(BROKEN)).deploy(newer, "digits", **WISH)
    assert bench.inventory() == before
    left = dict(bench.cloud.functions["digits"]["tags"])
    left.pop(CODE_TAG)
    assert left == tags
    assert not bench.deployer().plan(model, "digits", **WISH).changes


def test_copies_kept_running_that_fail_put_the_alias_back(bench: Bench, model: Model, newer: Model) -> None:
    wish = {**WISH, "autoscaling": KEPT_RUNNING}
    bench.deployer().deploy(model, "digits", **wish)
    before = bench.inventory()

    def failing(service: str, operation: str, params: Mapping[str, Any]) -> None:
        if operation in ("UpdateAlias", "DeleteFunction"):
            bench.cloud.provisioning = "FAILED" if bench.cloud.provisioning == "READY" else "READY"

    with pytest.raises(DeployFailed, match="no capacity"):
        bench.deployer(failing).deploy(newer, "digits", **wish)
    bench.cloud.provisioning = "READY"
    assert bench.inventory() == before


def test_fewer_wishes_remove_what_is_no_longer_wished_for(bench: Bench, model: Model) -> None:
    bench.deployer(**OPTIONS).deploy(model, "digits", **EVERYTHING)
    bench.deployer().deploy(model, "digits", **WISH)
    kinds = {key.partition("/")[0] for key in bench.inventory()}
    assert kinds.isdisjoint({"scalable-target", "scaling-policy", "alarm", "policy", "pc", "failures"})
    assert bench.cloud.functions["digits"]["url"]["live"]["AuthType"] == "AWS_IAM"
    assert not bench.deployer().plan(model, "digits", **WISH).changes


def test_a_public_url_takes_two_statements(bench: Bench, model: Model) -> None:
    bench.deployer(url="public").deploy(model, "digits", access=Access(public=True))
    statements = bench.cloud.functions["digits"]["policy"]["live"].values()
    assert {s["Action"] for s in statements} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    assert {s["Principal"] for s in statements} == {"*"}
    narrowed = [s for s in statements if s["Action"] == "lambda:InvokeFunction"]
    assert narrowed[0]["InvokedViaFunctionUrl"] is True


def test_reserved_concurrency_comes_and_goes(bench: Bench, model: Model) -> None:
    bench.deployer(reserved_concurrency=5).deploy(model, "digits", **WISH)
    assert bench.cloud.functions["digits"]["reserved"] == 5
    bench.deployer().deploy(model, "digits", **WISH)
    assert bench.cloud.functions["digits"]["reserved"] is None


def test_more_concurrency_than_the_account_has_is_refused_and_nothing_is_created(
    bench: Bench, model: Model
) -> None:
    bench.cloud.limit = 110
    with pytest.raises(SpecError, match="11 requests"):
        bench.deployer(reserved_concurrency=11).deploy(model, "digits", **WISH)
    assert bench.inventory() == {}


def test_changed_tags_are_written_without_a_new_version(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH, tags={"team": "vision", "old": "1"})
    bench.deployer().deploy(model, "digits", **WISH, tags={"team": "speech"})
    assert set(bench.changing()) == {"PutObject", "TagResource", "UntagResource", "TagRole", "UntagRole"}
    bench.deployer().deploy(model, "digits", **WISH, tags={"team": "speech"})
    assert bench.changing() == []


def test_code_changed_by_other_means_is_put_right(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    bench.deployer().deploy(model, "digits", compute=Compute(memory_mb=256, architecture="arm64"))
    config = bench.cloud.functions["digits"]["config"]
    config |= {"code": "something else", "CodeSha256": "else"}
    bench.cloud.functions["digits"]["tags"][CODE_TAG] = "as deployed"
    plan = bench.deployer().plan(model, "digits", compute=Compute(memory_mb=256, architecture="arm64"))
    assert "code" in {field for step in plan.steps for field in step.changes}
    bench.deployer().deploy(model, "digits", compute=Compute(memory_mb=256, architecture="arm64"))
    assert bench.cloud.functions["digits"]["config"]["code"] == f"{model.digest[:12]} 3.13 arm64"


def test_a_function_that_is_not_ours_is_left_alone(bench: Bench, model: Model, aws: Aws) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    bench.cloud.add_foreign("theirs")
    before = bench.inventory()
    with pytest.raises(NameConflict, match="theirs"):
        bench.deployer().deploy(model, "theirs", **WISH)
    bench.deployer().delete("theirs")
    assert bench.inventory() == before


def test_a_function_under_change_is_waited_for(bench: Bench, model: Model, newer: Model) -> None:
    bench.cloud.busy = 2
    bench.deployer().deploy(model, "digits", **WISH)
    bench.deployer().deploy(newer, "digits", **WISH)
    assert served(bench) == f"{newer.digest[:12]} 3.13 arm64"


def test_a_role_that_takes_effect_late_is_waited_for(bench: Bench, model: Model) -> None:
    refusals = ["The role defined for the function cannot be assumed by Lambda."]

    def late(service: str, operation: str, params: Mapping[str, Any]) -> None:
        if operation == "CreateFunction" and refusals:
            raise refusal("InvalidParameterValueException", refusals.pop())

    bench.deployer(late).deploy(model, "digits", **WISH)
    assert [o for _, o in bench.calls].count("CreateFunction") == 2


def test_any_other_refusal_of_the_function_fails_at_once_and_leaves_nothing(
    bench: Bench, model: Model
) -> None:
    def refusing(service: str, operation: str, params: Mapping[str, Any]) -> None:
        if operation == "CreateFunction":
            raise refusal("InvalidParameterValueException", "Unzipped size must be smaller than 262144000")

    with pytest.raises(DeployFailed, match="Unzipped size"):
        bench.deployer(refusing).deploy(model, "digits", **WISH)
    assert [o for _, o in bench.calls].count("CreateFunction") == 1
    assert bench.inventory() == {}


def test_a_role_that_is_given_is_used_and_not_made(bench: Bench, model: Model, aws: Aws) -> None:
    trust = json.dumps(trust_policy("lambda.amazonaws.com"))
    aws("iam", "CreateRole", RoleName="mine", AssumeRolePolicyDocument=trust)
    bench.deployer().deploy(model, "digits", **WISH)
    access = Access(role=f"arn:aws:iam::{ACCOUNT}:role/mine")
    bench.deployer().deploy(model, "digits", **WISH, access=access)
    assert [k for k in bench.inventory() if k.startswith("role/")] == ["role/mine"]
    bench.deployer().delete("digits")
    assert list(bench.inventory()) == ["role/mine"]


def test_a_bucket_emptied_by_hand_heals(bench: Bench, model: Model, aws: Aws) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    before = bench.inventory()
    bucket = f"clouddeploy-{ACCOUNT}-{REGION}"
    for item in aws("s3", "ListObjectsV2", Bucket=bucket)["Contents"]:
        aws("s3", "DeleteObject", Bucket=bucket, Key=item["Key"])
    aws("s3", "DeleteBucket", Bucket=bucket)
    bench.deployer().deploy(model, "digits", **WISH)
    assert bench.inventory() == before
    for item in aws("s3", "ListObjectsV2", Bucket=bucket)["Contents"]:
        aws("s3", "DeleteObject", Bucket=bucket, Key=item["Key"])
    aws("s3", "DeleteBucket", Bucket=bucket)
    bench.deployer().delete("digits")
    assert bench.inventory() == {}


def test_an_image_is_deployed_without_a_zip_and_never_becomes_one(bench: Bench, model: Model) -> None:
    image = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/digits:1"
    bench.deployer(image=image).deploy(model, "digits", **WISH)
    assert served(bench) == image
    assert [k for k in bench.inventory() if k.startswith("object/")] == [
        f"object/clouddeploy-{ACCOUNT}-{REGION}/_lambda/digits/lock.json"
    ]
    assert not bench.deployer(image=image).plan(model, "digits", **WISH).changes
    with pytest.raises(SpecError, match="package type"):
        bench.deployer().deploy(model, "digits", **WISH)
    bench.deployer().delete("digits")
    assert bench.inventory() == {}


def test_every_call_of_a_life_is_among_the_permissions(bench: Bench, model: Model, newer: Model) -> None:
    seen: set[tuple[str, str]] = set()
    acts: list[Callable[[Any], object]] = [
        lambda d: d.deploy(model, "digits", **EVERYTHING).predict_raw(b"{}"),
        lambda d: d.deploy(newer, "digits", **EVERYTHING),
        lambda d: d.rollback("digits"),
        lambda d: [
            d.list(),
            list(d.endpoint("digits").logs()),
            d.endpoint("digits").metrics(),
            d.endpoint("digits").describe(),
        ],
        lambda d: d.delete("digits"),
    ]
    for act in acts:
        act(bench.deployer(**OPTIONS))
        seen |= set(bench.calls)
    allowed = {(service, operation) for service, names in OPERATIONS.items() for operation in names}
    assert seen <= allowed


def test_a_listing_shows_our_functions_only(bench: Bench, model: Model) -> None:
    deployer = bench.deployer()
    deployer.deploy(model, "digits", **WISH)
    bench.cloud.add_foreign("theirs")
    (row,) = deployer.list()
    assert (row.name, row.target, row.phase) == ("digits", "lambda", "ready")
    assert row.release == deployer.endpoint("digits").status().release
    described = deployer.endpoint("digits").describe()
    assert described["alias_arn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:digits:live"
    assert described["url"].startswith("https://")
    with pytest.raises(NotFound):
        deployer.endpoint("nobodys").describe()


def test_a_name_as_long_as_allowed_works_throughout(bench: Bench, model: Model) -> None:
    name = "n" * 63
    bench.deployer().deploy(model, name, **EVERYTHING)
    assert not bench.deployer().plan(model, name, **EVERYTHING).changes
    bench.deployer().delete(name)
    assert bench.inventory() == {}
