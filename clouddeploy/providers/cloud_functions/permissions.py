"""Which permissions one who deploys needs: those behind the API methods that this provider calls."""

from __future__ import annotations

from clouddeploy.providers.gcp import permissions

PERMISSIONS = (
    "cloudfunctions.functions.create",
    "cloudfunctions.functions.delete",
    "cloudfunctions.functions.get",
    "cloudfunctions.functions.list",
    "cloudfunctions.functions.update",
    "cloudfunctions.operations.get",
    "secretmanager.secrets.get",
    "storage.buckets.getIamPolicy",
    "storage.buckets.setIamPolicy",
)
"""Besides those that every target of Google Cloud needs (IAM permissions reference)."""


def deployer_role() -> dict[str, object]:
    """A custom role with all of them, as ``gcloud iam roles create --file`` takes it."""
    return permissions.deployer_role("cloud-functions", PERMISSIONS)
