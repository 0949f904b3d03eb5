"""What is looked at right before the first change: what a deploy would otherwise find out half-way."""

from __future__ import annotations

from collections.abc import Mapping

from clouddeploy.errors import CloudDeployError, NotFound
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.faults import MISSING
from clouddeploy.providers.gcp.service_account import address


def look(gcp: Gcp, secrets: Mapping[str, str], role: str | None) -> list[str]:
    """Warnings on secrets and the account that the function will run as.

    Args:
        gcp: the seam.
        secrets: ``{variable: "secret:version"}``.
        role: the address of an account of the user's.

    Raises:
        NotFound: one of them doesn't exist.
    """
    warnings: list[str] = []
    for secret in sorted({reference.partition(":")[0] for reference in secrets.values()}):
        _find(gcp, warnings, "secretmanager", "GetSecret", f"projects/{gcp.project}/secrets/{secret}", secret)
    if role is not None and role.endswith(address(gcp.project, "")):
        name = f"projects/{gcp.project}/serviceAccounts/{role}"
        _find(gcp, warnings, "iam", "GetServiceAccount", name, role)
    return warnings


def _find(gcp: Gcp, warnings: list[str], service: str, method: str, name: str, told: str) -> None:
    what = "secret" if service == "secretmanager" else "service account"
    try:
        found = gcp.find(service, method, MISSING, name=name)
    except CloudDeployError as error:
        warnings.append(f"{what} {told!r} can't be looked up: {error.what}")
        return
    if found is None:
        make = "gcloud secrets create" if what == "secret" else "gcloud iam service-accounts create"
        raise NotFound(
            f"{what} {told!r} doesn't exist",
            why=f"looked for {name}",
            fix=f"make it with: {make} {told.partition('@')[0]} --project {gcp.project}",
        )
