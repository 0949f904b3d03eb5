"""Service accounts ("REST Resource: projects.serviceAccounts", IAM API v1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google.call import Call, etag, number
from clouddeploy.emulator.google.errors import ApiError, invalid

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

ID = re.compile(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])")
DOMAIN = "iam.gserviceaccount.com"
MESSAGES = {
    "CreateServiceAccountRequest": "accountId serviceAccount:ServiceAccount",
    "PatchServiceAccountRequest": "serviceAccount:ServiceAccount updateMask",
    "ServiceAccount": """
        name projectId uniqueId email displayName etag description oauth2ClientId disabled:bool
    """,
}


class Accounts:
    """All service accounts by e-mail address, and how often a new one was refused."""

    def __init__(self) -> None:
        self.all: dict[str, dict[str, Any]] = {}
        self._uses: dict[str, int] = {}

    def exists(self, email: str) -> bool:
        """Whether there is one; Google's own always exist."""
        return email in self.all or not email.endswith(DOMAIN)

    def use(self, email: str, refusals: int) -> None:
        """Check that a workload may run as `email`.

        Raises:
            ApiError: it doesn't exist, or is so new that it isn't known everywhere.
        """
        used = self._uses.get(email, 0)
        late = email in self.all and used < refusals
        self._uses[email] = used + 1
        if late or not self.exists(email):
            raise ApiError(
                "PERMISSION_DENIED",
                f"Permission 'iam.serviceaccounts.actAs' denied on service account {email} "
                "(or it may not exist).",
            )

    def clear(self) -> None:
        """Forget everything."""
        self.all.clear()
        self._uses.clear()


def create(cloud: Google, call: Call) -> dict[str, Any]:
    """``iam.projects.serviceAccounts.create``"""
    identity = call.body.get("accountId", "")
    if not ID.fullmatch(identity):
        raise invalid(
            f"Service account ID must be between 6 and 30 characters. Service account id {identity!r} has "
            "to match [a-z]([-a-z0-9]*[a-z0-9])."
        )
    email = f"{identity}@{call.project}.{DOMAIN}"
    name = f"projects/{call.project}/serviceAccounts/{email}"
    if email in cloud.accounts.all:
        raise ApiError(
            "ALREADY_EXISTS",
            f"Service account {identity} already exists within project projects/{call.project}.",
        )
    given = call.body.get("serviceAccount", {})
    made = {
        "name": name,
        "projectId": call.project,
        "uniqueId": f"1{number(email)}{number(name)}"[:21],
        "email": email,
        "etag": etag().strip('"'),
        "oauth2ClientId": f"1{number(email)}{number(name)}"[:21],
        **{k: given[k] for k in ("displayName", "description") if k in given},
    }
    cloud.accounts.all[email] = made
    return made


def get(cloud: Google, call: Call) -> dict[str, Any]:
    """``iam.projects.serviceAccounts.get``"""
    found = cloud.accounts.all.get(call.id)
    if found is None or call.project not in ("-", found["projectId"]):
        raise ApiError("NOT_FOUND", "Unknown service account")
    return found


def list_all(cloud: Google, call: Call) -> dict[str, Any]:
    """``iam.projects.serviceAccounts.list``"""
    return {"accounts": [a for a in cloud.accounts.all.values() if a["projectId"] == call.project]}


def patch(cloud: Google, call: Call) -> dict[str, Any]:
    """``iam.projects.serviceAccounts.patch``"""
    found = get(cloud, call)
    given = call.body.get("serviceAccount", {})
    for name in call.body.get("updateMask", "").split(","):
        if name not in ("displayName", "display_name", "description"):
            raise invalid(f"Only display_name and description can be updated, not {name!r}.", "update_mask")
        field = "displayName" if name == "display_name" else name
        found[field] = given.get(field, "")
    return found


def delete(cloud: Google, call: Call) -> dict[str, Any]:
    """``iam.projects.serviceAccounts.delete``"""
    found = get(cloud, call)
    del cloud.accounts.all[found["email"]]
    cloud.policies.forget_member(found["email"])
    cloud.policies.drop(found["name"])
    return {}
