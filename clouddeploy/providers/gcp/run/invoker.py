"""Who may call a service besides those whom the project's own policy lets in: ``roles/run.invoker`` on it.

The role belongs on the Run service, for a function too (Cloud Run documentation, "Allowing public access").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudError, CredentialsError
from clouddeploy.providers.gcp.faults import MISSING, matches
from clouddeploy.providers.gcp.run.site import ATTEMPTS, OUTDATED, RunSite

ROLE = "roles/run.invoker"
EVERYBODY = "allUsers"


@dataclass(frozen=True)
class PublicAccess:
    """Leave for anyone to call the service.

    Args:
        site: the service.
        needs: keys of what must exist before.
    """

    site: RunSite
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "invoker binding"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``invoker/<service>``."""
        return f"invoker/{self.site.name}"

    @property
    def removal(self) -> str:
        """Removes the binding; others stay."""
        return (
            f"gcloud run services remove-iam-policy-binding {self.site.name} --member={EVERYBODY} "
            f"--role={ROLE} --region {self.site.gcp.region} --project {self.site.gcp.project}"
        )

    def desired(self) -> State:
        """Anyone."""
        return {"member": EVERYBODY}

    def read(self) -> State | None:
        """Whether the service's policy has the binding."""
        policy = self._policy() if self.site.service() else None
        return self.desired() if policy and EVERYBODY in members_of(policy) else None

    def create(self, wish: State) -> None:
        """Add it; what else the policy holds stays."""
        self._change(there=True)

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Take it away; what else the policy holds stays."""
        self._change(there=False)

    def _policy(self) -> dict[str, Any] | None:
        return self.site.gcp.find("run", "GetIamPolicy", MISSING, resource=self.site.full_name)

    def _change(self, *, there: bool) -> None:
        for attempt in range(ATTEMPTS):
            policy = self._policy()
            if policy is None or (EVERYBODY in members_of(policy)) == there:
                return
            try:
                self.site.gcp(
                    "run", "SetIamPolicy", resource=self.site.full_name, policy=changed(policy, there=there)
                )
            except CloudError as error:
                if matches(error, {"FAILED_PRECONDITION"}):
                    raise _forbidden(self.site, error) from error
                if not matches(error, OUTDATED) or attempt == ATTEMPTS - 1:
                    raise
            else:
                return


def members_of(policy: Mapping[str, Any]) -> set[str]:
    """Whom a policy lets call the service, without a condition."""
    bindings = [b for b in policy.get("bindings") or () if b.get("role") == ROLE and not b.get("condition")]
    return {member for binding in bindings for member in binding.get("members") or ()}


def changed(policy: Mapping[str, Any], *, there: bool) -> dict[str, Any]:
    """`policy` with or without the binding; its etag stays, so that no change of others is lost."""
    bindings = [{**b, "members": list(b.get("members") or ())} for b in policy.get("bindings") or ()]
    ours = [b for b in bindings if b.get("role") == ROLE and not b.get("condition")]
    for binding in ours:
        binding["members"] = [m for m in binding["members"] if m != EVERYBODY]
    if there and ours:
        ours[0]["members"].append(EVERYBODY)
    elif there:
        bindings.append({"role": ROLE, "members": [EVERYBODY]})
    return {**policy, "bindings": [b for b in bindings if b["members"]]}


def _forbidden(site: RunSite, error: CloudError) -> CredentialsError:
    return CredentialsError(
        f"service {site.name!r} may not be made public",
        why=error.why,
        fix="an organisation policy (iam.allowedPolicyMemberDomains) keeps policies within its domains: have "
        "an exception made, or leave out Access(public=True)",
    )
