"""Secret Manager: secrets, their versions and payloads (API v1)."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google.call import Call, etag, now, number
from clouddeploy.emulator.google.errors import ApiError, invalid
from clouddeploy.emulator.google.listing import page

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

ACCESSOR = "roles/secretmanager.secretAccessor"
ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
MESSAGES = {
    "Secret": "name replication:any createTime labels:map topics:any[] expireTime ttl etag annotations:map",
    "AddSecretVersionRequest": "payload:SecretPayload",
    "SecretPayload": "data dataCrc32c:int64",
}


def create(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.secrets.create``"""
    identity = call.query.get("secretId", "")
    if not ID.fullmatch(identity):
        raise invalid(f"Secret ID {identity!r} must match [a-zA-Z_0-9]{{1,255}}.", "secret_id")
    if not call.body.get("replication"):
        raise invalid("Secret.replication must be set.", "secret.replication")
    name = f"projects/{number(call.project)}/secrets/{identity}"
    if name in cloud.secrets:
        raise ApiError("ALREADY_EXISTS", f"Secret [{name}] already exists.")
    shown = {**call.body, "name": name, "createTime": now(), "etag": etag()}
    cloud.secrets[name] = {"shown": shown, "versions": []}
    return dict(shown)


def get(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.secrets.get``"""
    return dict(find(cloud, call.name)["shown"])


def list_all(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.secrets.list``"""
    start = f"projects/{number(call.project)}/secrets/"
    return page(
        call, "secrets", [s["shown"] for n, s in sorted(cloud.secrets.items()) if n.startswith(start)]
    )


def delete(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.secrets.delete``"""
    find(cloud, call.name)
    name = resolved(call.name)
    del cloud.secrets[name]
    cloud.policies.drop(name)
    return {}


def add_version(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.secrets.addVersion``"""
    found = find(cloud, call.name)
    data = base64.b64decode(call.body.get("payload", {}).get("data", ""))
    name = f"{resolved(call.name)}/versions/{len(found['versions']) + 1}"
    shown = {"name": name, "createTime": now(), "state": "ENABLED", "etag": etag()}
    found["versions"].append({"shown": shown, "data": data})
    return dict(shown)


def get_version(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.secrets.versions.get``"""
    return dict(_version(cloud, call.name)["shown"])


def change_version(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.secrets.versions.disable``, ``enable`` and ``destroy``"""
    version = _version(cloud, call.name)
    state = {"Disable": "DISABLED", "Enable": "ENABLED", "Destroy": "DESTROYED"}
    version["shown"]["state"] = state[call.method.removesuffix("SecretVersion")]
    return dict(version["shown"])


def access(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.secrets.versions.access``"""
    version = _version(cloud, call.name)
    _enabled(version)
    data = base64.b64encode(version["data"]).decode()
    return {"name": version["shown"]["name"], "payload": {"data": data}}


def value(cloud: Google, project: str, reference: Mapping[str, Any], account: str) -> str:
    """What an environment variable that refers to a secret holds, for a workload run by `account`.

    Raises:
        ApiError: it doesn't exist, or the account may not read it.
    """
    secret = reference["secret"]
    full = secret if secret.startswith("projects/") else f"projects/{project}/secrets/{secret}"
    name = f"{resolved(full)}/versions/{reference.get('version') or 'latest'}"
    members = cloud.policies.members(resolved(full), ACCESSOR)
    members |= cloud.policies.members(f"projects/{project}", ACCESSOR)
    if resolved(full) in cloud.secrets and not members & {f"serviceAccount:{account}", "allUsers"}:
        raise ApiError(
            "PERMISSION_DENIED",
            f"Permission denied on secret: {name} for Revision service account {account}. The service "
            "account used must be granted the 'Secret Manager Secret Accessor' role "
            "(roles/secretmanager.secretAccessor) at the secret, project or higher level.",
        )
    try:
        version = _version(cloud, name)
        _enabled(version)
    except ApiError as error:
        raise ApiError(error.status, f"Secret {name} was not found") from error
    return str(version["data"].decode())


def resolved(name: str) -> str:
    """A secret's name with the project's number, which the service answers with."""
    parts = name.split("/")
    if not parts[1].isdigit():
        parts[1] = number(parts[1])
    return "/".join(parts)


def find(cloud: Google, name: str) -> dict[str, Any]:
    """A secret's record.

    Raises:
        ApiError: there is none.
    """
    full = resolved(name)
    found: dict[str, Any] | None = cloud.secrets.get(full)
    if found is None:
        raise ApiError("NOT_FOUND", f"Secret [{full}] not found or has no versions.")
    return found


def _version(cloud: Google, name: str) -> dict[str, Any]:
    secret, _, number_ = name.rpartition("/versions/")
    versions: list[dict[str, Any]] = find(cloud, secret)["versions"]
    if number_ == "latest" and versions:
        return versions[-1]
    if not number_.isdigit() or not 1 <= int(number_) <= len(versions):
        raise ApiError("NOT_FOUND", f"Secret Version [{resolved(secret)}/versions/{number_}] not found.")
    return versions[int(number_) - 1]


def _enabled(version: Mapping[str, Any]) -> None:
    state = version["shown"]["state"]
    if state != "ENABLED":
        raise ApiError(
            "FAILED_PRECONDITION",
            f"Secret Version [{version['shown']['name']}] is in {state} state.",
        )
