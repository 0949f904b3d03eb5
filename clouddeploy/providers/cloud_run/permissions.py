"""Which permissions one who deploys needs: those behind the API methods that this provider calls."""

from __future__ import annotations

from clouddeploy.providers.gcp import permissions

PERMISSIONS = (
    "artifactregistry.repositories.create",
    "artifactregistry.repositories.delete",
    "artifactregistry.repositories.downloadArtifacts",
    "artifactregistry.repositories.get",
    "artifactregistry.repositories.uploadArtifacts",
    "artifactregistry.tags.create",
    "artifactregistry.tags.get",
    "artifactregistry.tags.list",
    "artifactregistry.tags.update",
    "run.services.create",
    "run.services.delete",
    "run.services.list",
)
"""Besides those that every target of Google Cloud needs (IAM permissions reference)."""


def deployer_role() -> dict[str, object]:
    """A custom role with all of them, as ``gcloud iam roles create --file`` takes it."""
    return permissions.deployer_role("cloud-run", PERMISSIONS)
