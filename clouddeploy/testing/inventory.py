"""Everything that exists in an AWS account, as text: what a test compares before and after."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

RANDOM = re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""What target tracking ends the names of its alarms with."""
SERVICES = ("s3", "iam", "sagemaker", "application-autoscaling", "cloudwatch", "logs")


@lru_cache(maxsize=8)
def _clients(url: str, region: str) -> dict[str, Any]:
    import boto3

    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=region)
    return {name: session.client(name, endpoint_url=url) for name in SERVICES}


def _pages(client: Any, operation: str, items: str, **params: Any) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(operation).paginate(**params):
        yield from page.get(items, ())


def aws_inventory(url: str, region: str) -> dict[str, str]:
    """Every bucket, object, unfinished upload, role, model, endpoint, scaling rule, alarm and log group.

    Args:
        url: the embedded cloud's address.
        region: where to look.

    Returns:
        ``kind/name`` mapped to the state that matters.
    """
    return dict(
        [*_storage(_clients(url, region)), *_serving(_clients(url, region)), *_scaling(_clients(url, region))]
    )


def _storage(aws: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for bucket in aws["s3"].list_buckets().get("Buckets", ()):
        name = bucket["Name"]
        yield f"bucket/{name}", ""
        for item in _pages(aws["s3"], "list_objects_v2", "Contents", Bucket=name):
            yield f"object/{name}/{item['Key']}", "" if item["Key"].endswith("lock.json") else item["ETag"]
        for upload in aws["s3"].list_multipart_uploads(Bucket=name).get("Uploads", ()):
            yield f"upload/{name}/{upload['Key']}", ""
    for role in _pages(aws["iam"], "list_roles", "Roles"):
        policies = aws["iam"].list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
        yield f"role/{role['RoleName']}", ",".join(policies)


def _serving(aws: dict[str, Any]) -> Iterator[tuple[str, str]]:
    sagemaker = aws["sagemaker"]
    for model in _pages(sagemaker, "list_models", "Models"):
        yield f"model/{model['ModelName']}", ""
    for config in _pages(sagemaker, "list_endpoint_configs", "EndpointConfigs"):
        yield f"endpoint-config/{config['EndpointConfigName']}", ""
    endpoints = list(_pages(sagemaker, "list_endpoints", "Endpoints"))
    for endpoint in endpoints:
        found = sagemaker.describe_endpoint(EndpointName=endpoint["EndpointName"])
        state = f"{found['EndpointStatus']} {found['EndpointConfigName']}"
        yield f"endpoint/{endpoint['EndpointName']}", state
    # The cloud makes a group when a container first prints; it counts once its endpoint is gone.
    serving = {endpoint["EndpointName"] for endpoint in endpoints}
    for group in _pages(aws["logs"], "describe_log_groups", "logGroups"):
        if group["logGroupName"].rpartition("/")[2] not in serving:
            yield f"log-group/{group['logGroupName']}", ""


def _scaling(aws: dict[str, Any]) -> Iterator[tuple[str, str]]:
    scaling, space = aws["application-autoscaling"], {"ServiceNamespace": "sagemaker"}
    for target in _pages(scaling, "describe_scalable_targets", "ScalableTargets", **space):
        yield f"scalable-target/{target['ResourceId']}", f"{target['MinCapacity']}-{target['MaxCapacity']}"
    for policy in _pages(scaling, "describe_scaling_policies", "ScalingPolicies", **space):
        rule = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        yield f"scaling-policy/{policy['PolicyName']}", str(rule.get("TargetValue"))
    for action in _pages(scaling, "describe_scheduled_actions", "ScheduledActions", **space):
        yield f"scheduled-action/{action['ScheduledActionName']}", action["Schedule"]
    for alarm in _pages(aws["cloudwatch"], "describe_alarms", "MetricAlarms"):
        name = RANDOM.sub("-*", alarm["AlarmName"])
        yield f"alarm/{name}", str(alarm.get("Threshold"))
