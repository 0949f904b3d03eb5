"""Everything that exists in an AWS account, as text: what a test compares before and after."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

RANDOM = re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""What target tracking ends the names of its alarms with."""
SERVICES = (
    "s3", "iam", "sagemaker", "application-autoscaling", "cloudwatch", "logs", "lambda", "ecr",
    "apigatewayv2",
)  # fmt: skip


@lru_cache(maxsize=8)
def _clients(url: str, region: str) -> dict[str, Any]:
    import boto3

    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=region)
    return {name: session.client(name, endpoint_url=url) for name in SERVICES}


def _pages(client: Any, operation: str, items: str, **params: Any) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(operation).paginate(**params):
        yield from page.get(items, ())


def aws_inventory(url: str, region: str) -> dict[str, str]:
    """Every bucket, object, upload, role, model, endpoint, function, image, scaling rule, alarm, log group.

    Args:
        url: the embedded cloud's address.
        region: where to look.

    Returns:
        ``kind/name`` mapped to the state that matters.
    """
    aws = _clients(url, region)
    return dict(
        [*_storage(aws), *_serving(aws), *_functions(aws), *_apis(aws), *_images(aws), *_scaling(aws)]
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
    serving = {f"/aws/sagemaker/Endpoints/{endpoint['EndpointName']}" for endpoint in endpoints}
    for group in _pages(aws["logs"], "describe_log_groups", "logGroups"):
        if group["logGroupName"] not in serving:
            yield f"log-group/{group['logGroupName']}", ""


def _functions(aws: dict[str, Any]) -> Iterator[tuple[str, str]]:
    functions = aws["lambda"]
    for function in _pages(functions, "list_functions", "Functions"):
        name = function["FunctionName"]
        yield f"function/{name}", f"{function['CodeSha256']} {function['MemorySize']}"
        for version in _pages(functions, "list_versions_by_function", "Versions", FunctionName=name):
            if version["Version"] != "$LATEST":
                yield f"function-version/{name}/{version['Description']}", version["CodeSha256"]
        for alias in functions.list_aliases(FunctionName=name).get("Aliases", ()):
            serving = functions.get_function(FunctionName=name, Qualifier=alias["Name"])
            yield f"function-alias/{name}/{alias['Name']}", serving["Configuration"]["Description"]
        for url in functions.list_function_url_configs(FunctionName=name).get("FunctionUrlConfigs", ()):
            yield f"function-url/{name}", url["AuthType"]
        held = functions.list_provisioned_concurrency_configs(FunctionName=name)
        for row in held.get("ProvisionedConcurrencyConfigs", ()):
            yield f"provisioned-concurrency/{name}", str(row["RequestedProvisionedConcurrentExecutions"])


def _images(aws: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for repository in _pages(aws["ecr"], "describe_repositories", "repositories"):
        name = repository["repositoryName"]
        yield f"image-repository/{name}", ""
        for image in _pages(aws["ecr"], "list_images", "imageIds", repositoryName=name):
            yield f"image/{name}:{image.get('imageTag', '')}", image["imageDigest"]


def _apis(aws: dict[str, Any]) -> Iterator[tuple[str, str]]:
    gateway = aws["apigatewayv2"]
    for number, api in enumerate(_pages(gateway, "get_apis", "Items")):
        routes = gateway.get_routes(ApiId=api["ApiId"])["Items"]
        parts = [f"{r['RouteKey']} {r.get('AuthorizationType', 'NONE')}" for r in routes]
        parts += [s["StageName"] for s in gateway.get_stages(ApiId=api["ApiId"])["Items"]]
        parts += [i["IntegrationUri"] for i in gateway.get_integrations(ApiId=api["ApiId"])["Items"]]
        yield f"http-api/{api['Name']}#{number}", " ".join(parts)


def _scaling(aws: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for space in ({"ServiceNamespace": "sagemaker"}, {"ServiceNamespace": "lambda"}):
        yield from _rules(aws["application-autoscaling"], space)
    for alarm in _pages(aws["cloudwatch"], "describe_alarms", "MetricAlarms"):
        name = RANDOM.sub("-*", alarm["AlarmName"])
        yield f"alarm/{name}", str(alarm.get("Threshold"))


def _rules(scaling: Any, space: dict[str, str]) -> Iterator[tuple[str, str]]:
    for target in _pages(scaling, "describe_scalable_targets", "ScalableTargets", **space):
        yield f"scalable-target/{target['ResourceId']}", f"{target['MinCapacity']}-{target['MaxCapacity']}"
    for policy in _pages(scaling, "describe_scaling_policies", "ScalingPolicies", **space):
        rule = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        yield f"scaling-policy/{policy['PolicyName']}", str(rule.get("TargetValue"))
    for action in _pages(scaling, "describe_scheduled_actions", "ScheduledActions", **space):
        yield f"scheduled-action/{action['ScheduledActionName']}", action["Schedule"]
