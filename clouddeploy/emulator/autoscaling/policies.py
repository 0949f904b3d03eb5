"""PutScalingPolicy, DescribeScalingPolicies, DeleteScalingPolicy (Application Auto Scaling API Reference).

A target tracking policy comes with two alarms that the service makes and owns ("Target tracking scaling
policies", Application Auto Scaling User Guide).
"""

from __future__ import annotations

import math
import time
import uuid
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.autoscaling import concurrency
from clouddeploy.emulator.autoscaling.records import NOT_FOUND, Key
from clouddeploy.emulator.autoscaling.targets import INSTANCES, PROVISIONED, ours, page
from clouddeploy.emulator.backends import alarms
from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.settings import ACCOUNT

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

# PredefinedMetricSpecification: metric name, statistic, period in seconds, by type and dimension.
METRICS = {
    ("SageMakerVariantInvocationsPerInstance", INSTANCES): ("InvocationsPerInstance", "Sum", 60),
    ("SageMakerVariantConcurrentRequestsPerModelHighResolution", INSTANCES): (
        "ConcurrentRequestsPerModel",
        "Maximum",
        10,
    ),
    ("SageMakerVariantProvisionedConcurrencyUtilization", PROVISIONED): (
        "ServerlessProvisionedConcurrencyUtilization",
        "Maximum",
        60,
    ),
    ("LambdaProvisionedConcurrencyUtilization", concurrency.DIMENSION): (
        "ProvisionedConcurrencyUtilization",
        "Maximum",
        60,
    ),
}
LOW_SHARE = 0.9
HIGH_PERIODS, LOW_PERIODS = 3, 15


def put(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """PutScalingPolicy: the target must be registered; a policy of that name is replaced."""
    if not ours(call):
        return None
    wish, key = call.params, Key.of(call)
    with cloud.scaling.lock:
        target = cloud.scaling.get(key)
        old = target.policies.get(wish["PolicyName"])
        kind = wish.get("PolicyType") or (old["PolicyType"] if old else "StepScaling")
        member = {
            "TargetTrackingScaling": "TargetTrackingScalingPolicyConfiguration",
            "StepScaling": "StepScalingPolicyConfiguration",
            "PredictiveScaling": "PredictiveScalingPolicyConfiguration",
        }[kind]
        if not wish.get(member):
            raise Refused(f"{member} is required for the policy type {kind}")
        policy = {
            "PolicyARN": old["PolicyARN"] if old else _arn(key, wish["PolicyName"]),
            "PolicyName": wish["PolicyName"],
            **key.members(),
            "PolicyType": kind,
            member: wish[member],
            "Alarms": [],
            "CreationTime": old["CreationTime"] if old else time.time(),
        }
        metric = _metric(wish[member], key) if kind == "TargetTrackingScaling" else None
        if old:
            alarms.delete(key.region, [a["AlarmName"] for a in old["Alarms"]])
        if metric:
            policy["Alarms"] = _alarms(key, policy["PolicyARN"], metric, wish[member])
        target.policies[wish["PolicyName"]] = policy
    return {"PolicyARN": policy["PolicyARN"], "Alarms": policy["Alarms"]}


def _arn(key: Key, name: str) -> str:
    return (
        f"arn:aws:autoscaling:{key.region}:{ACCOUNT}:scalingPolicy:{uuid.uuid4()}:"
        f"resource/{key.namespace}/{key.resource}:policyName/{name}"
    )


def _metric(wish: dict[str, Any], key: Key) -> dict[str, Any]:
    """What the alarms watch."""
    predefined: dict[str, Any] = wish.get("PredefinedMetricSpecification") or {}
    custom: dict[str, Any] = wish.get("CustomizedMetricSpecification") or {}
    if bool(predefined) == bool(custom):
        raise Refused(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification is required"
        )
    if not math.isfinite(wish["TargetValue"]) or wish["TargetValue"] <= 0:
        raise Refused(f"TargetValue must be greater than 0, not {wish['TargetValue']}")
    if custom:
        return {
            "namespace": custom.get("Namespace", ""),
            "metric_name": custom.get("MetricName", ""),
            "statistic": custom.get("Statistic", "Average"),
            "period": 60,
            "dimensions": custom.get("Dimensions", []),
        }
    kind = predefined["PredefinedMetricType"]
    if (kind, key.dimension) not in METRICS:
        raise Refused(f"The predefined metric type {kind} is not supported for {key.words()}")
    name, statistic, period = METRICS[kind, key.dimension]
    if key.namespace == "lambda":
        concurrency.check_utilization(wish["TargetValue"])
        namespace, dimensions = "AWS/Lambda", concurrency.dimensions(key)
    else:
        _, endpoint, _, variant = key.resource.split("/")
        namespace = "AWS/SageMaker"
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    return {
        "namespace": namespace,
        "metric_name": name,
        "statistic": statistic,
        "period": period,
        "dimensions": dimensions,
    }


def _alarms(key: Key, arn: str, metric: dict[str, Any], wish: dict[str, Any]) -> list[dict[str, str]]:
    sides = [("High", "GreaterThanThreshold", HIGH_PERIODS, wish["TargetValue"])]
    if not wish.get("DisableScaleIn"):
        sides.append(("Low", "LessThanThreshold", LOW_PERIODS, wish["TargetValue"] * LOW_SHARE))
    made = []
    for side, comparison, periods, threshold in sides:
        alarm = alarms.put(
            key.region,
            name=f"TargetTracking-{key.resource}-Alarm{side}-{uuid.uuid4()}",
            comparison_operator=comparison,
            evaluation_periods=periods,
            threshold=threshold,
            description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {arn}.",
            alarm_actions=[arn],
            **metric,
        )
        made.append({"AlarmName": str(alarm.name), "AlarmARN": str(alarm.alarm_arn)})
    return made


def describe(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """DescribeScalingPolicies."""
    if not ours(call):
        return None
    wish = call.params
    found = [
        policy
        for target in cloud.scaling.of_region(call.region)
        for policy in target.policies.values()
        if target.key.namespace == wish["ServiceNamespace"]
        and wish.get("ResourceId") in (None, target.key.resource)
        and wish.get("ScalableDimension") in (None, target.key.dimension)
        and (not wish.get("PolicyNames") or policy["PolicyName"] in wish["PolicyNames"])
    ]
    return page(found, "ScalingPolicies", wish)


def delete(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """DeleteScalingPolicy: its alarms go with it."""
    if not ours(call):
        return None
    key, name = Key.of(call), call.params["PolicyName"]
    with cloud.scaling.lock:
        target = cloud.scaling.find(key)
        if target is None or name not in target.policies:
            raise Refused(f"No scaling policy found for {key.words()}, policy name: {name}", code=NOT_FOUND)
        policy = target.policies.pop(name)
        alarms.delete(key.region, [a["AlarmName"] for a in policy["Alarms"]])
    return {}
