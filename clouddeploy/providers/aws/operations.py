"""The operations that what AWS targets share makes, for the list of what one who deploys needs."""

from __future__ import annotations

STORAGE = (
    "CreateBucket",
    "PutBucketTagging",
    "HeadBucket",
    "DeleteBucket",
    "ListObjectsV2",
    "ListMultipartUploads",
    "ListParts",
    "HeadObject",
    "GetObject",
    "PutObject",
    "DeleteObject",
    "DeleteObjects",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
)
"""Of S3: `bucket`, `survey`, `lock`, `upload` and `multipart`."""
ROLES = (
    "GetRole",
    "CreateRole",
    "DeleteRole",
    "UpdateAssumeRolePolicy",
    "TagRole",
    "UntagRole",
    "GetRolePolicy",
    "PutRolePolicy",
    "DeleteRolePolicy",
    "ListRolePolicies",
    "ListAttachedRolePolicies",
    "DetachRolePolicy",
)
"""Of IAM: `role`."""
IMAGES = (
    "GetAuthorizationToken",
    "CreateRepository",
    "DescribeRepositories",
    "ListTagsForResource",
    "TagResource",
    "UntagResource",
    "DeleteRepository",
    "DescribeImages",
    "BatchDeleteImage",
)
"""Of ECR: `images` and `repository`."""
SENDING_IMAGES = frozenset(
    {
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:GetDownloadUrlForLayer",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
    }
)
"""The IAM actions that sending an image by the registry's own API takes (Amazon ECR User Guide, "Required
IAM permissions for pushing an image")."""
SCALING = (
    "RegisterScalableTarget",
    "DescribeScalableTargets",
    "DeregisterScalableTarget",
    "PutScalingPolicy",
    "DescribeScalingPolicies",
    "DeleteScalingPolicy",
    "PutScheduledAction",
    "DescribeScheduledActions",
    "DeleteScheduledAction",
)
"""Of Application Auto Scaling: `autoscaling`."""
ALARMS = ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms", "GetMetricData")
"""Of CloudWatch: `alarms`, and metrics."""
