"""Which permissions one who deploys needs, on every target of Google Cloud."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

COMMON: Final = (
    "artifactregistry.packages.delete",
    "artifactregistry.packages.list",
    "artifactregistry.versions.delete",
    "artifactregistry.versions.list",
    "iam.serviceAccounts.actAs",
    "iam.serviceAccounts.create",
    "iam.serviceAccounts.delete",
    "iam.serviceAccounts.get",
    "logging.logEntries.list",
    "monitoring.alertPolicies.create",
    "monitoring.alertPolicies.delete",
    "monitoring.alertPolicies.list",
    "monitoring.alertPolicies.update",
    "monitoring.timeSeries.list",
    "run.operations.get",
    "run.revisions.delete",
    "run.revisions.list",
    "run.routes.invoke",
    "run.services.get",
    "run.services.getIamPolicy",
    "run.services.setIamPolicy",
    "run.services.update",
    "secretmanager.secrets.getIamPolicy",
    "secretmanager.secrets.setIamPolicy",
    "storage.buckets.create",
    "storage.buckets.delete",
    "storage.buckets.get",
    "storage.buckets.list",
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.get",
    "storage.objects.list",
)
"""Those behind the API methods that all these targets call (IAM permissions reference)."""


def deployer_role(target: str, own: Iterable[str]) -> dict[str, object]:
    """A custom role, as ``gcloud iam roles create --file`` takes it.

    Args:
        target: for whose deployments.
        own: permissions that this target needs besides `COMMON`.
    """
    return {
        "title": f"clouddeploy {target}",
        "description": "What deploying, calling and removing by clouddeploy takes",
        "stage": "GA",
        "includedPermissions": sorted({*COMMON, *own}),
    }
