"""Bindings of IAM policies: added and taken away one at a time, so that nobody else's is lost.

A policy is written as a whole, under the etag with which it was read; where somebody was quicker, it is
read again (IAM documentation, "Policy.etag": read-modify-write).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudDeployError
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.faults import MISSING, matches

QUICKER: Final = frozenset({"ABORTED", "conditionNotMet", "409", "412"})
NOT_YET: Final = "does not exist"
"""Of a service account made a moment ago (IAM documentation, "Eventual consistency")."""
TRIES: Final = 8
VERSION: Final = 3
"""Policies with conditional bindings are refused, or lose them, in an older version (Policy.version)."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Who has which role on a resource, without a condition."""

    role: str
    member: str


@dataclass(frozen=True)
class PolicyOf:
    """The policy of one resource.

    Args:
        gcp: the seam.
        service: whose method it is: ``run``, ``storage``, ``secretmanager``, ``resourcemanager``, ``iam``.
        resource: the resource's full name; for ``storage`` the bucket's.
    """

    gcp: Gcp
    service: str
    resource: str

    def read(self) -> dict[str, Any] | None:
        """The policy with its etag, or None when the resource doesn't exist."""
        return self.gcp.find(self.service, "GetIamPolicy", MISSING, **self._asked())

    def has(self, binding: Binding) -> bool:
        """Whether the binding is there; False when the resource isn't."""
        return _has(self.read() or {}, binding)

    def add(self, *bindings: Binding) -> None:
        """Add what is missing; nothing is written when nothing is."""
        self.change(lambda policy: _with(policy, bindings))

    def remove(self, *bindings: Binding) -> None:
        """Take away what is there; a resource that is gone is success."""
        self.change(lambda policy: _without(policy, bindings), gone_is_fine=True)

    def change(
        self, changed: Callable[[Mapping[str, Any]], dict[str, Any]], *, gone_is_fine: bool = False
    ) -> None:
        """Write what `changed` makes of the policy, unless that leaves its bindings as they are.

        Args:
            changed: from a policy to the wished one, its etag included; called again where others were
                quicker.
            gone_is_fine: whether a resource that doesn't exist is success.

        Raises:
            NotFound: the resource doesn't exist.
            CloudError: it is refused.
        """
        for attempt in range(1, TRIES + 1):
            missing = MISSING if gone_is_fine else ()
            policy = self.gcp.find(self.service, "GetIamPolicy", missing, **self._asked())
            if policy is None:
                return
            wish = changed(policy)
            if wish.get("bindings", []) == policy.get("bindings", []):
                return
            try:
                self._write(wish)
            except CloudDeployError as error:
                if attempt == TRIES or not _worth_another(error):
                    raise
                self.gcp.back_off(attempt)
            else:
                return

    def _write(self, policy: Mapping[str, Any]) -> None:
        if self.service == "storage":
            self.gcp("storage", "SetIamPolicy", bucket=self.resource, body=policy)
        else:
            self.gcp(self.service, "SetIamPolicy", resource=self.resource, policy=policy)

    def _asked(self) -> dict[str, Any]:
        if self.service == "storage":
            return {"bucket": self.resource, "optionsRequestedPolicyVersion": VERSION}
        if self.service == "secretmanager":
            return {"resource": self.resource, "options.requestedPolicyVersion": VERSION}
        if self.service == "iam":
            return {"resource": self.resource}
        return {"resource": self.resource, "options": {"requestedPolicyVersion": VERSION}}


@dataclass(frozen=True)
class Access:
    """Bindings on a resource that isn't the deployment's own, or that the cloud makes: as a resource.

    Args:
        policy: of what.
        bindings: who has which role.
        name: short name of what it is about, for the key.
        needs: keys of what must exist before.
    """

    policy: PolicyOf
    bindings: Sequence[Binding]
    name: str
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "IAM binding"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``iam/<name>``."""
        return f"iam/{self.name}"

    @property
    def removal(self) -> str:
        """Removes them one by one."""
        return "; ".join(
            f"gcloud {_GROUPS.get(self.policy.service, self.policy.service)} remove-iam-policy-binding "
            f"{self.policy.resource.rpartition('/')[2]} --member={b.member} --role={b.role}"
            for b in self.bindings
        )

    def desired(self) -> State:
        """Each role and member."""
        return {"bindings": sorted([b.role, b.member] for b in self.bindings)}

    def read(self) -> State | None:
        """Those of them that are there; None without any."""
        policy = self.policy.read() or {}
        there = sorted([b.role, b.member] for b in self.bindings if _has(policy, b))
        return {"bindings": there} if there else None

    def create(self, wish: State) -> None:
        """Add them."""
        self.policy.add(*(Binding(role, member) for role, member in wish["bindings"]))

    def update(self, actual: State, wish: State) -> None:
        """Add those wished, and take away the others that were there before."""
        dropped = [b for b in actual["bindings"] if b not in wish["bindings"]]
        if dropped:
            self.policy.remove(*(Binding(role, member) for role, member in dropped))
        self.create(wish)

    def delete(self) -> None:
        """Take them away."""
        self.policy.remove(*self.bindings)


_GROUPS: Final = {
    "run": "run services",
    "storage": "storage buckets",
    "secretmanager": "secrets",
    "resourcemanager": "projects",
    "iam": "iam service-accounts",
}


def _worth_another(error: CloudDeployError) -> bool:
    """Somebody was quicker, or a new service account isn't known everywhere yet."""
    if matches(error, QUICKER):
        return True
    return matches(error, {"INVALID_ARGUMENT", "invalid"}) and NOT_YET in error.why


def _plain(binding: Mapping[str, Any], role: str) -> bool:
    return binding.get("role") == role and not binding.get("condition")


def _has(policy: Mapping[str, Any], wanted: Binding) -> bool:
    bindings = policy.get("bindings", ())
    return any(_plain(b, wanted.role) and wanted.member in b.get("members", ()) for b in bindings)


def _with(policy: Mapping[str, Any], wanted: Sequence[Binding]) -> dict[str, Any]:
    bindings = [dict(b) for b in policy.get("bindings", ())]
    for one in wanted:
        if _has({"bindings": bindings}, one):
            continue
        there = next((b for b in bindings if _plain(b, one.role)), None)
        if there is None:
            bindings.append({"role": one.role, "members": [one.member]})
        else:
            there["members"] = [*there.get("members", ()), one.member]
    return _versioned(policy, bindings)


def _without(policy: Mapping[str, Any], dropped: Sequence[Binding]) -> dict[str, Any]:
    bindings = []
    for binding in policy.get("bindings", ()):
        gone = {d.member for d in dropped if _plain(binding, d.role)}
        members = [m for m in binding.get("members", ()) if m not in gone]
        if members:
            bindings.append({**binding, "members": members})
    return _versioned(policy, bindings)


def _versioned(policy: Mapping[str, Any], bindings: list[dict[str, Any]]) -> dict[str, Any]:
    conditional = any(b.get("condition") for b in bindings)
    version = VERSION if conditional else policy.get("version", 1)
    return {**policy, "version": version, "bindings": bindings}
