"""``getIamPolicy``, ``setIamPolicy`` and ``testIamPermissions`` of whatever has a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google import artifacts, policies, secrets
from clouddeploy.emulator.google.call import Call, part
from clouddeploy.emulator.google.errors import ApiError, invalid, missing

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google


def get(cloud: Google, call: Call) -> dict[str, Any]:
    """``getIamPolicy``"""
    return cloud.policies.get(_resource(cloud, call))


def put(cloud: Google, call: Call) -> dict[str, Any]:
    """``setIamPolicy``"""
    if "policy" not in call.body:
        raise invalid("Policy must be set.", "policy")
    name, policy = _resource(cloud, call), call.body["policy"]
    policies.check(policy, cloud.accounts.exists, public=not cloud.google.domain_restricted)
    with cloud.lock:
        return cloud.policies.put(name, policy)


def test(cloud: Google, call: Call) -> dict[str, Any]:
    """``testIamPermissions``: the caller has every one, save those that are denied now."""
    _resource(cloud, call)
    wished = call.body.get("permissions", [])
    return {"permissions": wished} if wished else {}


def _resource(cloud: Google, call: Call) -> str:
    """The resource's name by which its policy is kept.

    Raises:
        ApiError: there is no such resource.
    """
    name = call.name
    kinds = {"functions": cloud.functions, "run": cloud.services, "artifactregistry": cloud.repositories}
    if call.service == "secretmanager":
        secrets.find(cloud, name)
        return secrets.resolved(name)
    if call.service == "iam":
        email = part(name, "serviceAccounts")
        if email not in cloud.accounts.all:
            raise ApiError("NOT_FOUND", "Unknown service account")
        return str(cloud.accounts.all[email]["name"])
    if call.service in kinds and name not in kinds[call.service]:
        raise artifacts.unknown(name) if call.service == "artifactregistry" else missing(name)
    return name
