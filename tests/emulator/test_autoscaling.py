"""Application Auto Scaling for SageMaker's variants refuses and keeps what the real one does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.conftest import Rig, refused

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
TRACKING = {
    "TargetValue": 600.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
}


def of(endpoint: str, dimension: str = DIMENSION) -> dict[str, str]:
    """What names the scalable target of an endpoint's variant."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/main",
        "ScalableDimension": dimension,
    }


def alarms(rig: Rig, endpoint: str) -> list[dict[str, Any]]:
    """The alarms that target tracking made for an endpoint."""
    prefix = f"TargetTracking-endpoint/{endpoint}/variant/"
    return list(rig.watch.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"])


@pytest.fixture(scope="module")
def endpoint(rig: Rig) -> str:
    """An endpoint that several tests register."""
    return rig.endpoint()


@pytest.mark.parametrize(
    "limits", [{"MinCapacity": 3, "MaxCapacity": 2}, {"MinCapacity": 1}, {"MaxCapacity": 1}, {}]
)
def test_limits_that_can_not_be_meant_are_refused(rig: Rig, limits: dict[str, int]) -> None:
    """API_RegisterScalableTarget: both are required for a new target, min must not exceed max."""
    found = refused(rig.scaling.register_scalable_target, **of(rig.endpoint()), **limits)
    assert found.code == "ValidationException"


def test_a_target_for_what_does_not_exist_is_refused(rig: Rig, endpoint: str) -> None:
    """API_RegisterScalableTarget: the resource must exist in its service."""
    limits = {"MinCapacity": 1, "MaxCapacity": 2}
    for wish in (
        of("no-such-endpoint"),
        {**of(endpoint), "ResourceId": f"endpoint/{endpoint}/variant/other"},
        of(endpoint, "sagemaker:variant:DesiredProvisionedConcurrency"),
        {**of(endpoint), "ResourceId": f"endpoint/{endpoint}"},
    ):
        assert refused(rig.scaling.register_scalable_target, **wish, **limits).code == "ValidationException"


def test_registering_moves_the_count_into_the_range_and_again_changes_the_limits(rig: Rig) -> None:
    """API_RegisterScalableTarget: current capacity is changed to a value inside of the range."""
    name = rig.endpoint()
    rig.scaling.register_scalable_target(**of(name), MinCapacity=2, MaxCapacity=4)
    assert rig.settled(name)["ProductionVariants"][0]["DesiredInstanceCount"] == 2
    rig.scaling.register_scalable_target(**of(name), MaxCapacity=6)
    found = rig.scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[of(name)["ResourceId"]]
    )["ScalableTargets"]
    assert [(t["MinCapacity"], t["MaxCapacity"]) for t in found] == [(2, 6)]


def test_a_policy_before_its_target_is_refused(rig: Rig) -> None:
    """API_PutScalingPolicy: ObjectNotFoundException."""
    found = refused(
        rig.scaling.put_scaling_policy,
        **of(rig.endpoint()),
        PolicyName="p",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=TRACKING,
    )
    assert found.code == "ObjectNotFoundException"


def test_target_tracking_makes_two_alarms_that_go_with_the_policy(rig: Rig) -> None:
    """ "Target tracking scaling policies", Application Auto Scaling User Guide: who owns the alarms."""
    name = rig.endpoint()
    rig.scaling.register_scalable_target(**of(name), MinCapacity=1, MaxCapacity=4)
    put = {
        **of(name),
        "PolicyName": "p",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": TRACKING,
    }
    made = rig.scaling.put_scaling_policy(**put)
    assert len(made["Alarms"]) == 2
    found = {a["AlarmName"].split("-Alarm")[1][:3]: a for a in alarms(rig, name)}
    assert (found["Hig"]["Threshold"], found["Hig"]["EvaluationPeriods"]) == (600, 3)
    assert (found["Low"]["Threshold"], found["Low"]["EvaluationPeriods"]) == (540, 15)
    assert found["Hig"]["MetricName"] == "InvocationsPerInstance"
    again = rig.scaling.put_scaling_policy(**put)
    assert again["PolicyARN"] == made["PolicyARN"]
    assert len(alarms(rig, name)) == 2
    listed = rig.scaling.describe_scaling_policies(
        ServiceNamespace="sagemaker", ResourceId=of(name)["ResourceId"]
    )["ScalingPolicies"]
    assert [p["TargetTrackingScalingPolicyConfiguration"] for p in listed] == [TRACKING]
    rig.scaling.delete_scaling_policy(**of(name), PolicyName="p")
    assert alarms(rig, name) == []
    assert (
        refused(rig.scaling.delete_scaling_policy, **of(name), PolicyName="p").code
        == "ObjectNotFoundException"
    )


@pytest.mark.parametrize(
    "tracking",
    [
        {**TRACKING, "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerMadeUp"}},
        {
            **TRACKING,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
        },
        {**TRACKING, "TargetValue": -1.0},
        {"TargetValue": 1.0},
    ],
)
def test_a_target_that_can_not_be_tracked_is_refused(rig: Rig, tracking: dict[str, Any]) -> None:
    """API_PredefinedMetricSpecification, API_TargetTrackingScalingPolicyConfiguration: valid values."""
    name = rig.endpoint()
    rig.scaling.register_scalable_target(**of(name), MinCapacity=1, MaxCapacity=4)
    found = refused(
        rig.scaling.put_scaling_policy,
        **of(name),
        PolicyName="p",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking,
    )
    assert found.code == "ValidationException"


@pytest.mark.parametrize("gone", ["deregistered", "endpoint deleted"])
def test_policies_actions_and_alarms_go_with_their_target(rig: Rig, gone: str) -> None:
    """API_DeregisterScalableTarget: deletes the policies and scheduled actions associated with it."""
    name = rig.endpoint()
    rig.scaling.register_scalable_target(**of(name), MinCapacity=1, MaxCapacity=4)
    rig.scaling.put_scaling_policy(
        **of(name),
        PolicyName="p",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=TRACKING,
    )
    rig.scaling.put_scheduled_action(
        **of(name), ScheduledActionName="s", Schedule="rate(1 hour)", ScalableTargetAction={"MinCapacity": 2}
    )
    if gone == "deregistered":
        rig.scaling.deregister_scalable_target(**of(name))
        assert refused(rig.scaling.deregister_scalable_target, **of(name)).code == "ObjectNotFoundException"
    else:
        rig.sm.delete_endpoint(EndpointName=name)
    where = {"ServiceNamespace": "sagemaker", "ResourceId": of(name)["ResourceId"]}
    assert rig.scaling.describe_scaling_policies(**where)["ScalingPolicies"] == []
    assert rig.scaling.describe_scheduled_actions(**where)["ScheduledActions"] == []
    targets = rig.scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[where["ResourceId"]]
    )
    assert targets["ScalableTargets"] == []
    assert alarms(rig, name) == []


@pytest.mark.parametrize(
    ("schedule", "good"),
    [
        ("cron(0 8 ? * MON-FRI *)", True),
        ("cron(0/15 8 1 JAN ? 2027)", True),
        ("rate(5 minutes)", True),
        ("at(2027-01-31T10:00:00)", True),
        ("cron(0 8 * * 1-5)", False),
        ("cron(61 8 ? * MON *)", False),
        ("cron(0 8 * * MON *)", False),
        ("rate(0 minutes)", False),
        ("at(2027-02-31T10:00:00)", False),
        ("every day", False),
    ],
)
def test_a_schedule_is_checked(rig: Rig, endpoint: str, schedule: str, good: bool) -> None:
    """API_PutScheduledAction, "Schedule": at, rate and cron expressions."""
    rig.scaling.register_scalable_target(**of(endpoint), MinCapacity=1, MaxCapacity=4)
    wish = {**of(endpoint), "ScheduledActionName": rig.fresh("action"), "Schedule": schedule}
    action = {"MinCapacity": 1, "MaxCapacity": 3}
    if good:
        rig.scaling.put_scheduled_action(**wish, ScalableTargetAction=action)
        rig.scaling.delete_scheduled_action(**of(endpoint), ScheduledActionName=wish["ScheduledActionName"])
    else:
        found = refused(rig.scaling.put_scheduled_action, **wish, ScalableTargetAction=action)
        assert found.code == "ValidationException"


def test_an_unknown_time_zone_is_refused(rig: Rig, endpoint: str) -> None:
    """API_PutScheduledAction, "Timezone"."""
    rig.scaling.register_scalable_target(**of(endpoint), MinCapacity=1, MaxCapacity=4)
    found = refused(
        rig.scaling.put_scheduled_action,
        **of(endpoint),
        ScheduledActionName="z",
        Schedule="rate(1 hour)",
        Timezone="Mars/Olympus",
        ScalableTargetAction={"MinCapacity": 1},
    )
    assert found.code == "ValidationException"


def test_a_serverless_variant_scales_its_provisioned_concurrency_only(rig: Rig) -> None:
    """ "Autoscale Provisioned Concurrency for a serverless endpoint", Amazon SageMaker Developer Guide."""
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5, "ProvisionedConcurrency": 2}
    config = rig.config(InstanceType=None, InitialInstanceCount=None, ServerlessConfig=serverless)
    name = rig.endpoint(config)
    limits = {"MinCapacity": 1, "MaxCapacity": 4}
    assert refused(rig.scaling.register_scalable_target, **of(name), **limits).code == "ValidationException"
    dimension = "sagemaker:variant:DesiredProvisionedConcurrency"
    rig.scaling.register_scalable_target(**of(name, dimension), **limits)


def test_a_scalable_target_has_tags(rig: Rig) -> None:
    """API_RegisterScalableTarget, "Tags"; API_TagResource, API_ListTagsForResource."""
    arn = rig.scaling.register_scalable_target(
        **of(rig.endpoint()), MinCapacity=1, MaxCapacity=2, Tags={"a": "1"}
    )["ScalableTargetARN"]
    rig.scaling.tag_resource(ResourceARN=arn, Tags={"b": "2"})
    rig.scaling.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert rig.scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"b": "2"}


def test_other_services_targets_are_left_to_moto(rig: Rig) -> None:
    """API_RegisterScalableTarget for another namespace works as before."""
    name = rig.fresh("table")
    rig.scaling.register_scalable_target(
        ServiceNamespace="dynamodb",
        ResourceId=f"table/{name}",
        ScalableDimension="dynamodb:table:ReadCapacityUnits",
        MinCapacity=1,
        MaxCapacity=2,
    )
    found = rig.scaling.describe_scalable_targets(ServiceNamespace="dynamodb", ResourceIds=[f"table/{name}"])[
        "ScalableTargets"
    ]
    assert len(found) == 1
