"""Which permissions which principal needs: the role of the machines, and the one who deploys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clouddeploy.providers.aws import operations
from clouddeploy.providers.aws.actions import iam_actions
from clouddeploy.providers.sagemaker.names import log_group
from clouddeploy.providers.sagemaker.site import Site

OPERATIONS: dict[str, tuple[str, ...]] = {
    "sts": ("GetCallerIdentity",),
    "s3": operations.STORAGE,
    "iam": operations.ROLES,
    "sagemaker": (
        "CreateModel",
        "DescribeModel",
        "DeleteModel",
        "ListModels",
        "CreateEndpointConfig",
        "DescribeEndpointConfig",
        "DeleteEndpointConfig",
        "ListEndpointConfigs",
        "CreateEndpoint",
        "DescribeEndpoint",
        "UpdateEndpoint",
        "DeleteEndpoint",
        "ListEndpoints",
        "ListTags",
        "AddTags",
        "DeleteTags",
    ),
    "sagemaker-runtime": ("InvokeEndpoint",),
    "ecr": operations.IMAGES,
    "application-autoscaling": operations.SCALING,
    "cloudwatch": operations.ALARMS,
    "logs": ("FilterLogEvents", "DescribeLogGroups", "DeleteLogGroup"),
}
"""Every API operation that this provider makes."""
IMPLIED = frozenset(
    {"sagemaker:AddTags", "iam:TagRole", "application-autoscaling:TagResource", "cloudwatch:TagResource"}
)
"""Actions that creating something with tags takes besides the creating one."""


def deployer_actions() -> tuple[str, ...]:
    """The IAM actions that one who deploys, calls and removes needs, sorted."""
    found = {a for service, names in OPERATIONS.items() for n in names for a in iam_actions(service, n)}
    return tuple(sorted(found | IMPLIED | operations.SENDING_IMAGES))


def deployer_policy() -> dict[str, Any]:
    """An IAM policy document with those actions."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(deployer_actions()), "Resource": "*"}],
    }


def execution_policy(site: Site, repositories: Sequence[str], *, private_network: bool) -> dict[str, Any]:
    """The least that the machines need: this deployment's objects, its logs, metrics, and its images.

    SageMaker Developer Guide, "CreateModel API: execution role permissions".
    """
    aws = site.aws
    arn = f"arn:{aws.partition}"
    group = f"{arn}:logs:{aws.region}:{aws.account}:log-group:{log_group(site.name)}"
    statements = [
        _allow(["s3:GetObject"], f"{arn}:s3:::{site.bucket}/{site.name}/*"),
        _allow(["s3:ListBucket"], f"{arn}:s3:::{site.bucket}", StringLike={"s3:prefix": f"{site.name}/*"}),
        _allow(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [group, f"{group}:*"],
        ),
        _allow(
            ["cloudwatch:PutMetricData"],
            "*",
            StringEquals={"cloudwatch:namespace": ["AWS/SageMaker", "/aws/sagemaker/Endpoints"]},
        ),
        _allow(["ecr:GetAuthorizationToken"], "*"),
        _allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "*" if "*" in repositories else list(repositories),
        ),
    ]
    if private_network:
        statements.append(_allow([f"ec2:{name}" for name in NETWORK_ACTIONS], "*"))
    return {"Version": "2012-10-17", "Statement": statements}


NETWORK_ACTIONS = [
    "CreateNetworkInterface",
    "CreateNetworkInterfacePermission",
    "DeleteNetworkInterface",
    "DeleteNetworkInterfacePermission",
    "DescribeDhcpOptions",
    "DescribeNetworkInterfaces",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeVpcs",
]
"""What attaching to a VPC takes (Developer Guide, "CreateModel API: execution role permissions")."""


def _allow(actions: list[str], resource: str | list[str], **condition: dict[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement
