"""Google Cloud Functions, second generation: `CloudFunctions`, found by the target ``cloud-functions``."""

from clouddeploy.providers.cloud_functions.provider import CloudFunctions

__all__ = ["CloudFunctions"]
