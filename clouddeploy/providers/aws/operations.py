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
