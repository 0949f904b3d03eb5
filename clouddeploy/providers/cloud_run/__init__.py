"""Google Cloud Run: `CloudRun`, found by the target ``cloud-run``."""

from clouddeploy.providers.cloud_run.provider import CloudRun

__all__ = ["CloudRun"]
