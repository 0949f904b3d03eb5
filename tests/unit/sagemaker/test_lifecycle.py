"""Deploys, updates, rollbacks and removals against the embedded cloud, and the calls they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouddeploy.errors import CredentialsError, DeployFailed, NameConflict, NotFound
from clouddeploy.model import Model
from clouddeploy.providers.sagemaker import SageMaker
from clouddeploy.providers.sagemaker.permissions import OPERATIONS
from clouddeploy.spec import Access, Autoscaling, Compute, Schedule
from clouddeploy.testing.faults import losing_once
from clouddeploy.testing.models import broken_model
from tests.unit.sagemaker.conftest import ALARM, REGION, WISH, Bench

BATCH = np.ones((2, 4), np.float32)
SCRIPT = Counter(
    GetCallerIdentity=1,
    PutObject=1,
    CreateRole=1,
    PutRolePolicy=1,
    CreateModel=1,
    CreateEndpointConfig=1,
    CreateEndpoint=1,
    RegisterScalableTarget=1,
    PutScalingPolicy=1,
)
"""A minimal hand-written script for the same resources, besides polling and making the bucket."""
GIVEN_ROLE = "arn:aws:iam::123456789012:role/mine"


def budget(calls: list[tuple[str, str]], *, with_bucket: bool) -> tuple[int, float]:
    """Calls made, and 1.3 times those of the script, both with the same number of polls."""
    made = [operation for _, operation in calls]
    polls = made.count("DescribeEndpoint") - 1  # the first one looks for an endpoint that isn't ours
    script = SCRIPT.total() + polls + (2 if with_bucket else 0)
    return len(made), 1.3 * script


def test_a_first_deploy_makes_at_most_1_3_times_the_calls_of_a_script(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    made, most = budget(bench.calls, with_bucket=True)
    assert made <= most, bench.calls


def test_the_same_holds_where_the_bucket_is_there(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "other", **WISH)
    bench.deployer().deploy(model, "digits", **WISH)
    made, most = budget(bench.calls, with_bucket=False)
    assert made <= most, bench.calls
    changes = Counter(operation for _, operation in bench.changing())
    assert changes == SCRIPT - Counter(["GetCallerIdentity"]) + Counter(PutObject=2)  # the lock's two


def test_an_unchanged_deploy_changes_nothing_with_everything_in_it(bench: Bench, model: Model) -> None:
    wish = {
        "compute": Compute(instance="ml.c5.xlarge"),
        "autoscaling": Autoscaling(min=1, max=3, cpu=0.6, schedules=(Schedule(cron="0 8 * * 1-5", min=2),)),
        "alarms": (ALARM,),
        "env": {"GREETING": "hello"},
        "tags": {"team": "vision"},
    }
    bench.deployer().deploy(model, "digits", **wish)
    plan = bench.deployer().plan(model, "digits", **wish)
    assert not plan.changes, str(plan)
    bench.deployer().deploy(model, "digits", **wish)
    assert bench.changing() == []


def test_delete_leaves_nothing_and_needs_no_wish(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH, alarms=(ALARM,))
    bench.deployer().deploy(newer, "digits", **WISH, alarms=(ALARM,))
    bench.deployer().delete("digits")
    assert bench.inventory() == {}
    bench.deployer().delete("digits")
    assert bench.changing() == []


def test_a_delete_leaves_another_deployment_alone(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    before = bench.inventory()
    bench.deployer().deploy(model, "digits-2", **WISH)
    bench.deployer().delete("digits-2")
    assert bench.inventory() == before


def test_an_update_serves_the_new_model_and_keeps_one_release(
    bench: Bench, model: Model, newer: Model, tmp_path: Path
) -> None:
    deployer = bench.deployer()
    first = deployer.deploy(model, "digits", **WISH)
    answer = first.predict(BATCH)
    second = deployer.deploy(newer, "digits", **WISH)
    assert np.allclose(second.predict(BATCH), 2 * answer)
    assert len(deployer.provider.releases("digits")) == 2
    third = deployer.deploy(model, "digits", **{**WISH, "compute": Compute(instance="ml.c5.large")})
    assert np.allclose(third.predict(BATCH), answer)
    assert len(deployer.provider.releases("digits")) == 2
    assert deployer.provider.releases("digits")[0] == third.status().release


def test_keeping_no_release_removes_the_one_before(bench: Bench, model: Model, newer: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH, keep_releases=0)
    bench.deployer().deploy(newer, "digits", **WISH, keep_releases=0)
    kinds = Counter(key.partition("/")[0] for key in bench.inventory())
    assert (kinds["model"], kinds["endpoint-config"], kinds["object"]) == (1, 1, 2)


def test_rollback_builds_nothing_and_an_unknown_release_is_told(
    bench: Bench, model: Model, newer: Model
) -> None:
    deployer = bench.deployer()
    answer = deployer.deploy(model, "digits", **WISH).predict(BATCH)
    release = deployer.endpoint("digits").status().release
    deployer.deploy(newer, "digits", **WISH)
    deployer = bench.deployer()
    assert np.array_equal(deployer.rollback("digits").predict(BATCH), answer)
    assert {o for _, o in bench.changing()} == {"PutObject", "UpdateEndpoint", "AddTags"}
    assert deployer.endpoint("digits").status().release == release
    with pytest.raises(NotFound, match="0123456789"):
        deployer.rollback("digits", "0123456789")


def test_tags_say_whose_everything_is(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH, tags={"team": "vision"})
    aws = bench.aws
    endpoint = aws("sagemaker", "DescribeEndpoint", EndpointName="digits")
    config = aws("sagemaker", "DescribeEndpointConfig", EndpointConfigName=endpoint["EndpointConfigName"])
    found = aws("sagemaker", "DescribeModel", ModelName=config["ProductionVariants"][0]["ModelName"])
    for arn in (endpoint["EndpointArn"], config["EndpointConfigArn"], found["ModelArn"]):
        tags = {t["Key"]: t["Value"] for t in aws("sagemaker", "ListTags", ResourceArn=arn)["Tags"]}
        assert tags["clouddeploy:deployment"] == "digits"
        assert tags["team"] == "vision"
        assert len(tags["clouddeploy:digest"]) == 32
    assert tags.get("clouddeploy:release") is None  # a model can be several releases'


def test_changed_tags_are_written_without_an_update(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH, tags={"team": "vision", "old": "1"})
    bench.deployer().deploy(model, "digits", **WISH, tags={"team": "speech"})
    assert {o for _, o in bench.changing()} == {"PutObject", "AddTags", "DeleteTags", "TagRole", "UntagRole"}
    bench.deployer().deploy(model, "digits", **WISH, tags={"team": "speech"})
    assert bench.changing() == []


def test_another_machine_type_keeps_autoscaling(bench: Bench, model: Model) -> None:
    schedules = (Schedule(cron="0 8 * * 1-5", min=2),)
    scaling = Autoscaling(min=1, max=4, requests_per_minute=600, schedules=schedules)
    bench.deployer().deploy(model, "digits", compute=Compute(instance="ml.m5.large"), autoscaling=scaling)
    before = {k: v for k, v in bench.inventory().items() if k.startswith("scal")}
    bench.deployer().deploy(model, "digits", compute=Compute(instance="ml.c5.large"), autoscaling=scaling)
    order = [o for _, o in bench.changing()]
    assert order.index("DeregisterScalableTarget") < order.index("UpdateEndpoint")
    assert order.index("UpdateEndpoint") < order.index("RegisterScalableTarget")
    assert {k: v for k, v in bench.inventory().items() if k.startswith("scal")} == before


def test_a_broken_release_of_another_machine_type_keeps_autoscaling_too(
    bench: Bench, model: Model, tmp_path: Path
) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    before = bench.inventory()
    broken = broken_model(tmp_path / "broken", "load")
    with pytest.raises(DeployFailed) as caught:
        bench.deployer().deploy(broken, "digits", **{**WISH, "compute": Compute(instance="ml.c5.large")})
    assert "broken on purpose" in str(caught.value)
    assert bench.inventory() == before


def test_fewer_wishes_remove_what_is_no_longer_wished_for(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH, alarms=(ALARM,))
    bench.deployer().deploy(model, "digits", compute=WISH["compute"], autoscaling=Autoscaling(min=2, max=2))
    kinds = {key.partition("/")[0] for key in bench.inventory()}
    assert kinds.isdisjoint({"scalable-target", "scaling-policy", "alarm"})
    endpoint = bench.aws("sagemaker", "DescribeEndpoint", EndpointName="digits")
    assert endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 2


def test_serverless_inference_is_deployed_updated_and_removed(
    bench: Bench, model: Model, newer: Model
) -> None:
    wish = {"compute": Compute(memory_mb=2048, max_concurrency=5), "autoscaling": Autoscaling(min=0)}
    answer = bench.deployer().deploy(model, "digits", **wish).predict(BATCH)
    config = bench.aws("sagemaker", "ListEndpointConfigs")["EndpointConfigs"][0]["EndpointConfigName"]
    found = bench.aws("sagemaker", "DescribeEndpointConfig", EndpointConfigName=config)
    variant = found["ProductionVariants"][0]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert not bench.deployer().plan(model, "digits", **wish).changes
    assert np.allclose(bench.deployer().deploy(newer, "digits", **wish).predict(BATCH), 2 * answer)
    bench.deployer().delete("digits")
    assert bench.inventory() == {}


def test_a_role_that_is_given_is_used_and_not_made(bench: Bench, model: Model) -> None:
    trust = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
        '"Principal":{"Service":"sagemaker.amazonaws.com"}}]}'
    )
    bench.aws("iam", "CreateRole", RoleName="mine", AssumeRolePolicyDocument=trust)
    with pytest.raises(DeployFailed, match="s3:GetObject"):
        bench.deployer().deploy(model, "digits", **WISH, access=Access(role=GIVEN_ROLE))
    assert [o for _, o in bench.calls].count("CreateModel") == 1
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
    bench.aws("iam", "PutRolePolicy", RoleName="mine", PolicyName="p", PolicyDocument=policy)
    bench.deployer().deploy(model, "digits", **WISH, access=Access(role=GIVEN_ROLE))
    assert [k for k in bench.inventory() if k.startswith("role/")] == ["role/mine"]
    bench.deployer().delete("digits")
    assert list(bench.inventory()) == ["role/mine"]


def test_an_endpoint_that_is_not_ours_is_left_alone_until_it_is_adopted(
    bench: Bench, model: Model, newer: Model
) -> None:
    deployer = bench.deployer()
    answer = deployer.deploy(model, "digits", **WISH).predict(BATCH)
    config = bench.aws("sagemaker", "DescribeEndpoint", EndpointName="digits")["EndpointConfigName"]
    bench.aws("sagemaker", "CreateEndpoint", EndpointName="theirs", EndpointConfigName=config)
    before = bench.inventory()
    with pytest.raises(NameConflict, match="theirs") as caught:
        bench.deployer().deploy(newer, "theirs", **WISH)
    assert "adopt" in caught.value.fix
    bench.deployer().delete("theirs")
    assert bench.inventory() == before
    assert np.array_equal(deployer.endpoint("theirs").predict(BATCH), answer)
    provider = deployer.provider
    assert isinstance(provider, SageMaker)
    provider.adopt("theirs")
    with pytest.raises(NotFound):
        provider.adopt("nobodys")
    updated = bench.deployer().deploy(newer, "theirs", **WISH)
    assert np.allclose(updated.predict(BATCH), 2 * answer)
    bench.deployer().delete("theirs")
    assert {k for k in bench.inventory() if "theirs" in k} == set()
    assert np.array_equal(deployer.endpoint("digits").predict(BATCH), answer)


def test_a_bucket_emptied_by_hand_heals(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    before, aws = bench.inventory(), bench.aws
    bucket = f"clouddeploy-123456789012-{REGION}"
    for item in aws("s3", "ListObjectsV2", Bucket=bucket)["Contents"]:
        aws("s3", "DeleteObject", Bucket=bucket, Key=item["Key"])
    aws("s3", "DeleteBucket", Bucket=bucket)
    bench.deployer().deploy(model, "digits", **WISH)
    assert bench.inventory() == before


def test_what_a_killed_deploy_left_is_found_by_delete_even_without_the_bucket(
    bench: Bench, model: Model
) -> None:
    bench.deployer().deploy(model, "digits", **WISH)
    aws, bucket = bench.aws, f"clouddeploy-123456789012-{REGION}"
    for item in aws("s3", "ListObjectsV2", Bucket=bucket)["Contents"]:
        aws("s3", "DeleteObject", Bucket=bucket, Key=item["Key"])
    aws("s3", "DeleteBucket", Bucket=bucket)
    bench.deployer().delete("digits")
    assert bench.inventory() == {}


def test_a_role_that_takes_effect_late_is_waited_for(bench: Bench, model: Model) -> None:
    from tests.unit.aws.test_client import refusal

    refusals = ["Could not assume role arn:aws:iam::123456789012:role/x. Please ensure that the role exists."]

    def late(service: str, operation: str, params: Mapping[str, Any]) -> None:
        if operation == "CreateModel" and refusals:
            raise refusal("ValidationException", refusals.pop())

    bench.deployer(late).deploy(model, "digits", **WISH)
    assert [o for _, o in bench.calls].count("CreateModel") == 2


def test_any_other_refusal_of_the_model_fails_at_once_and_leaves_nothing(bench: Bench, model: Model) -> None:
    from tests.unit.aws.test_client import refusal

    def refusing(service: str, operation: str, params: Mapping[str, Any]) -> None:
        if operation == "CreateModel":
            raise refusal("ValidationException", "Requested image is not found")

    with pytest.raises(DeployFailed, match="Requested image"):
        bench.deployer(refusing).deploy(model, "digits", **WISH)
    assert [o for _, o in bench.calls].count("CreateModel") == 1
    assert bench.inventory() == {}


CREATES = frozenset(
    {
        "CreateBucket",
        "PutBucketTagging",
        "PutObject",
        "CreateRole",
        "PutRolePolicy",
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
        "RegisterScalableTarget",
        "PutScalingPolicy",
        "PutMetricAlarm",
    }
)


def test_a_lost_answer_to_every_create_is_no_failure(bench: Bench, model: Model) -> None:
    deployer = bench.deployer()
    lost = losing_once(deployer.provider, CREATES.__contains__)
    endpoint = deployer.deploy(model, "digits", **WISH, alarms=(ALARM,))
    assert lost == CREATES
    assert endpoint.status().phase == "ready"
    assert not bench.deployer().plan(model, "digits", **WISH, alarms=(ALARM,)).changes


def test_a_lost_answer_to_every_delete_is_no_failure(bench: Bench, model: Model) -> None:
    bench.deployer().deploy(model, "digits", **WISH, alarms=(ALARM,))
    deployer = bench.deployer()
    lost = losing_once(deployer.provider, lambda operation: operation.startswith(("Delete", "Deregister")))
    deployer.delete("digits")
    assert len(lost) >= 9
    assert bench.inventory() == {}


def test_every_call_of_a_life_is_among_the_permissions(bench: Bench, model: Model, newer: Model) -> None:
    seen: set[tuple[str, str]] = set()
    acts: list[Callable[[Any], object]] = [
        lambda d: d.deploy(model, "digits", **WISH, alarms=(ALARM,), tags={"a": "1"}).predict(BATCH),
        lambda d: d.deploy(
            newer, "digits", compute=Compute(instance="ml.c5.large"), autoscaling=WISH["autoscaling"]
        ),
        lambda d: d.rollback("digits"),
        lambda d: [
            d.list(),
            list(d.endpoint("digits").logs()),
            d.endpoint("digits").metrics(),
            d.endpoint("digits").status(),
        ],
        lambda d: d.delete("digits"),
    ]
    for act in acts:
        act(bench.deployer())
        seen |= set(bench.calls)
    allowed = {(service, operation) for service, names in OPERATIONS.items() for operation in names}
    assert seen <= allowed


def test_a_listing_shows_our_endpoints_only(bench: Bench, model: Model) -> None:
    deployer = bench.deployer()
    deployer.deploy(model, "digits", **WISH)
    config = bench.aws("sagemaker", "DescribeEndpoint", EndpointName="digits")["EndpointConfigName"]
    bench.aws("sagemaker", "CreateEndpoint", EndpointName="theirs", EndpointConfigName=config)
    (row,) = deployer.list()
    assert (row.name, row.target, row.phase) == ("digits", "sagemaker", "ready")
    assert row.release == deployer.endpoint("digits").status().release
    assert row.created
    described = deployer.endpoint("digits").describe()
    assert described["endpoint_arn"] == f"arn:aws:sagemaker:{REGION}:123456789012:endpoint/digits"


def test_a_permission_lost_in_the_middle_undoes_everything(bench: Bench, model: Model) -> None:
    from tests.unit.aws.test_client import refusal

    def refusing(service: str, operation: str, params: Mapping[str, Any]) -> None:
        if operation == "PutScalingPolicy":
            raise refusal(
                "AccessDeniedException", "User: arn:aws:iam::1:user/x is not authorized to perform: a:B"
            )

    with pytest.raises(DeployFailed) as caught:
        bench.deployer(refusing).deploy(model, "digits", **WISH)
    assert isinstance(caught.value.__cause__, CredentialsError)
    assert bench.inventory() == {}


def test_a_name_as_long_as_allowed_works_throughout(bench: Bench, model: Model) -> None:
    name = "n" * 63
    bench.deployer().deploy(model, name, **WISH, alarms=(ALARM,))
    assert not bench.deployer().plan(model, name, **WISH, alarms=(ALARM,)).changes
    bench.deployer().delete(name)
    assert bench.inventory() == {}
