"""Which permissions which principal needs: the function's role, and the one who deploys."""

from __future__ import annotations

from typing import Any

from clouddeploy.providers.aws import operations
from clouddeploy.providers.aws.actions import iam_actions
from clouddeploy.providers.aws_lambda.names import log_group
from clouddeploy.providers.aws_lambda.site import Site

OPERATIONS: dict[str, tuple[str, ...]] = {
    "sts": ("GetCallerIdentity",),
    "s3": operations.STORAGE,
    "iam": operations.ROLES,
    "lambda": (
        "GetAccountSettings",
        "CreateFunction",
        "GetFunction",
        "GetFunctionConfiguration",
        "UpdateFunctionCode",
        "UpdateFunctionConfiguration",
        "DeleteFunction",
        "ListFunctions",
        "ListTags",
        "TagResource",
        "UntagResource",
        "PutFunctionConcurrency",
        "DeleteFunctionConcurrency",
        "PublishVersion",
        "ListVersionsByFunction",
        "CreateAlias",
        "GetAlias",
        "UpdateAlias",
        "DeleteAlias",
        "CreateFunctionUrlConfig",
        "GetFunctionUrlConfig",
        "UpdateFunctionUrlConfig",
        "DeleteFunctionUrlConfig",
        "AddPermission",
        "GetPolicy",
        "RemovePermission",
        "PutProvisionedConcurrencyConfig",
        "GetProvisionedConcurrencyConfig",
        "DeleteProvisionedConcurrencyConfig",
        "PutFunctionEventInvokeConfig",
        "GetFunctionEventInvokeConfig",
        "DeleteFunctionEventInvokeConfig",
        "Invoke",
    ),
    "ecr": operations.IMAGES,
    "apigatewayv2": (
        "CreateApi",
        "GetApis",
        "UpdateApi",
        "DeleteApi",
        "DeleteCorsConfiguration",
        "CreateIntegration",
        "GetIntegrations",
        "CreateRoute",
        "GetRoutes",
        "UpdateRoute",
        "CreateStage",
        "GetStages",
        "TagResource",
        "UntagResource",
    ),
    "application-autoscaling": operations.SCALING,
    "cloudwatch": operations.ALARMS,
    "logs": (
        "CreateLogGroup",
        "PutRetentionPolicy",
        "DeleteRetentionPolicy",
        "FilterLogEvents",
        "DescribeLogGroups",
        "DeleteLogGroup",
    ),
}
"""Every API operation that this provider makes."""
IMPLIED = frozenset(
    {"iam:TagRole", "application-autoscaling:TagResource", "cloudwatch:TagResource", "logs:TagResource"}
)
"""Actions that creating something with tags takes besides the creating one."""
REGISTRY = operations.SENDING_IMAGES | {"ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy"}
"""What sending an image by the registry's own API takes, and what lets Lambda give itself access to the
repository (Developer Guide, "Create a Lambda function using a container image": Amazon ECR permissions)."""
NETWORK_ACTIONS = [
    "AssignPrivateIpAddresses",
    "CreateNetworkInterface",
    "DeleteNetworkInterface",
    "DescribeNetworkInterfaces",
    "DescribeSubnets",
    "UnassignPrivateIpAddresses",
]
"""What attaching to a VPC takes (Developer Guide, "Giving Lambda functions access to resources in a VPC")."""
SENDING = {"sqs": "sqs:SendMessage", "sns": "sns:Publish"}
"""Developer Guide, "Retaining records of asynchronous invocations": what a destination takes."""


def deployer_actions() -> tuple[str, ...]:
    """The IAM actions that one who deploys, calls and removes needs, sorted."""
    found = {a for service, names in OPERATIONS.items() for n in names for a in iam_actions(service, n)}
    return tuple(sorted(found | IMPLIED | REGISTRY))


def deployer_policy() -> dict[str, Any]:
    """An IAM policy document with those actions."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(deployer_actions()), "Resource": "*"}],
    }


def execution_policy(
    site: Site, *, private_network: bool, on_failure: str | None, kms_key: str | None, model_uri: str = ""
) -> dict[str, Any]:
    """The least that the function needs: to write its own log, and what the wish adds to that.

    It may not make the log group, so that none comes back after the deployment was removed.

    Args:
        private_network: it is attached to a VPC.
        on_failure: ARN of the queue or topic that gets failed events.
        kms_key: encrypts its environment.
        model_uri: ``s3://…`` where it fetches the model, if it does.
    """
    aws = site.aws
    group = f"arn:{aws.partition}:logs:{aws.region}:{aws.account}:log-group:{log_group(site.name)}"
    statements = [_allow(["logs:CreateLogStream", "logs:PutLogEvents"], f"{group}:*")]
    if on_failure:
        statements.append(_allow([SENDING[on_failure.split(":")[2]]], on_failure))
    if kms_key:
        statements.append(_allow(["kms:Decrypt"], kms_key))
    if model_uri.startswith("s3://"):
        bucket, _, key = model_uri.removeprefix("s3://").partition("/")
        whole = f"arn:{aws.partition}:s3:::{bucket}"
        statements.append(_allow(["s3:GetObject"], f"{whole}/{key}*"))
        listing = _allow(["s3:ListBucket"], whole)
        statements.append({**listing, "Condition": {"StringLike": {"s3:prefix": f"{key}*"}}})
    if private_network:
        statements.append(_allow([f"ec2:{name}" for name in NETWORK_ACTIONS], "*"))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(actions: list[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}
