"""Which IAM actions an API operation takes.

Service Authorization Reference, "Actions, resources, and condition keys for AWS services".
"""

from __future__ import annotations

PREFIX = {"sagemaker-runtime": "sagemaker", "application-autoscaling": "application-autoscaling"}
S3 = {
    "AbortMultipartUpload": ("s3:AbortMultipartUpload",),
    "CompleteMultipartUpload": ("s3:PutObject",),
    "CreateMultipartUpload": ("s3:PutObject",),
    "DeleteObject": ("s3:DeleteObject",),
    "DeleteObjects": ("s3:DeleteObject",),
    "GetObject": ("s3:GetObject",),
    "HeadBucket": ("s3:ListBucket",),
    "HeadObject": ("s3:GetObject",),
    "ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "ListObjectsV2": ("s3:ListBucket",),
    "ListParts": ("s3:ListMultipartUploadParts",),
    "PutPublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    "UploadPart": ("s3:PutObject",),
}
API_GATEWAY = {
    "Get": "GET",
    "Create": "POST",
    "Tag": "POST",
    "Update": "PATCH",
    "Delete": "DELETE",
    "Untag": "DELETE",
}
"""API Gateway's actions are HTTP methods ("Actions, resources, and condition keys for Amazon API Gateway
Management V2"), by what the names of operations start with."""
OTHERWISE = {("lambda", "Invoke"): ("lambda:InvokeFunction",)}
"""Operations whose action has another name."""
PASSES_ROLE = frozenset({"CreateModel", "CreateFunction", "UpdateFunctionConfiguration"})


def iam_actions(service: str, operation: str) -> tuple[str, ...]:
    """The actions that a principal must be allowed for one call, such as ``("sagemaker:CreateModel",)``."""
    if service == "s3":
        return S3.get(operation, (f"s3:{operation}",))
    if service == "apigatewayv2":
        return tuple(
            f"apigateway:{verb}" for start, verb in API_GATEWAY.items() if operation.startswith(start)
        )
    if (service, operation) in OTHERWISE:
        return OTHERWISE[service, operation]
    if operation == "GetCallerIdentity":
        return ()
    action = f"{PREFIX.get(service, service)}:{operation}"
    return (action, "iam:PassRole") if operation in PASSES_ROLE else (action,)
