"""Secrets that the code may read: bindings on secrets of Secret Manager that are the user's own."""

from __future__ import annotations

from typing import Final

from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.iam import Access, Binding, PolicyOf

ACCESSOR: Final = "roles/secretmanager.secretAccessor"


def accessor(gcp: Gcp, project: str, secret: str, account: str, needs: tuple[str, ...] = ()) -> Access:
    """The binding that lets `account`, a service account's address, read a secret of `project`."""
    policy = PolicyOf(gcp, "secretmanager", f"projects/{project}/secrets/{secret}")
    binding = Binding(ACCESSOR, f"serviceAccount:{account}")
    return Access(policy, (binding,), name=f"secret-{secret}", needs=needs)
