"""Which permissions one who deploys needs: those behind the API methods that this provider calls."""

from __future__ import annotations

PERMISSIONS = (
    "artifactregistry.packages.delete",
    "artifactregistry.packages.list",
    "artifactregistry.repositories.create",
    "artifactregistry.repositories.delete",
    "artifactregistry.repositories.downloadArtifacts",
    "artifactregistry.repositories.get",
    "artifactregistry.repositories.uploadArtifacts",
    "artifactregistry.tags.create",
    "artifactregistry.tags.get",
    "artifactregistry.tags.list",
    "artifactregistry.tags.update",
    "artifactregistry.versions.delete",
    "artifactregistry.versions.list",
    "iam.serviceAccounts.actAs",
    "iam.serviceAccounts.create",
    "iam.serviceAccounts.delete",
    "iam.serviceAccounts.get",
    "logging.logEntries.list",
    "monitoring.timeSeries.list",
    "run.operations.get",
    "run.revisions.delete",
    "run.revisions.list",
    "run.routes.invoke",
    "run.services.create",
    "run.services.delete",
    "run.services.get",
    "run.services.getIamPolicy",
    "run.services.list",
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
"""IAM permissions reference."""


def deployer_role() -> dict[str, object]:
    """A custom role with them, as ``gcloud iam roles create --file`` takes it."""
    return {
        "title": "clouddeploy cloud-run",
        "description": "What deploying, calling and removing by clouddeploy takes",
        "stage": "GA",
        "includedPermissions": list(PERMISSIONS),
    }
