"""IAM policies of any resource: who has which role on it (google.iam.v1)."""

from __future__ import annotations

import copy
import re
import secrets
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from clouddeploy.emulator.google.errors import ApiError, invalid

NEW = "ACAB"
"""The etag of a policy that nobody has set yet."""
MESSAGES: Mapping[str, str] = {
    "SetIamPolicyRequest": "policy:Policy updateMask resource",
    "Policy": "version:int bindings:Binding[] auditConfigs:any[] etag",
    "Binding": "role members:[] condition:Expr",
    "Expr": "expression title description location",
}
MEMBER = re.compile(
    r"allUsers|allAuthenticatedUsers|(user|serviceAccount|group|domain|principal|principalSet|deleted):.+"
)
ROLE = re.compile(r"(roles|(projects|organizations)/[^/]+/roles)/[\w.]+")
OURS = re.compile(r"serviceAccount:(.+@(.+)\.iam\.gserviceaccount\.com)")


class Policies:
    """The policies of all resources, by full name."""

    def __init__(self) -> None:
        self._all: dict[str, dict[str, Any]] = {}

    def get(self, resource: str) -> dict[str, Any]:
        """The policy, or the empty one."""
        return copy.deepcopy(self._all.get(resource, {"etag": NEW}))

    def put(self, resource: str, policy: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the policy, unless somebody else did since it was read.

        Raises:
            ApiError: its etag is not the present one's.
        """
        present = self.get(resource)["etag"]
        if policy.get("etag", present) not in (present, ""):
            raise ApiError(
                "ABORTED",
                "There were concurrent policy changes. Please retry the whole read-modify-write with "
                "exponential backoff.",
            )
        bindings = [b for b in policy.get("bindings", ()) if b.get("members")]
        made = {"version": policy.get("version", 1), "etag": _etag()}
        self._all[resource] = {**made, "bindings": copy.deepcopy(bindings)} if bindings else made
        return self.get(resource)

    def members(self, resource: str, role: str) -> frozenset[str]:
        """Who has the role on the resource itself."""
        bindings = self.get(resource).get("bindings", ())
        return frozenset(m for b in bindings if b.get("role") == role for m in b["members"])

    def drop(self, resource: str) -> None:
        """Forget a resource's policy and those of what lies below it."""
        for name in [n for n in self._all if n == resource or n.startswith(f"{resource}/")]:
            del self._all[name]

    def forget_member(self, email: str) -> None:
        """Mark a deleted account as such in every binding."""
        old, new = f"serviceAccount:{email}", f"deleted:serviceAccount:{email}"
        for binding in self._bindings():
            binding["members"] = [new if m == old else m for m in binding["members"]]

    def _bindings(self) -> Iterator[dict[str, Any]]:
        for policy in self._all.values():
            yield from policy.get("bindings", ())

    def clear(self) -> None:
        """Forget everything."""
        self._all.clear()


def check(policy: Mapping[str, Any], exists: Any, *, public: bool) -> None:
    """Refuse a policy whose roles or members can't be.

    Args:
        exists: whether there is a service account of that e-mail address.
        public: whether ``allUsers`` may be a member.

    Raises:
        ApiError: in IAM's words.
    """
    for binding in policy.get("bindings", ()):
        role = binding.get("role", "")
        if not ROLE.fullmatch(role):
            raise invalid(f"Role {role} is not supported for this resource.")
        for member in binding.get("members", ()):
            _check_member(member, exists, public)


def _check_member(member: str, exists: Any, public: bool) -> None:
    if not MEMBER.fullmatch(member):
        raise invalid(f"Invalid member {member}" if ":" in member else "The member is of an unknown type. "
                      f"Please set a valid type prefix for the member: {member}")  # fmt: skip
    if member.startswith("all") and not public:
        # Policy constraint iam.allowedPolicyMemberDomains ("Domain restricted sharing", IAM documentation).
        raise ApiError(
            "FAILED_PRECONDITION",
            "One or more users named in the policy do not belong to a permitted customer.",
        )
    ours = OURS.fullmatch(member)
    if ours and not exists(ours[1]):
        raise invalid(f"Service account {ours[1]} does not exist.")


def _etag() -> str:
    return b64encode(b"\x07" + secrets.token_bytes(7)).decode()
