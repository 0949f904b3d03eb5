"""Who may call a service besides those whom the project's own policy lets in: ``roles/run.invoker`` on it.

The role belongs on the Run service, for a function too (Cloud Run documentation, "Allowing public access").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudError, CredentialsError
from clouddeploy.providers.gcp.faults import matches
from clouddeploy.providers.gcp.iam import Binding, PolicyOf
from clouddeploy.providers.gcp.run.site import RunSite

ROLE = "roles/run.invoker"
EVERYBODY = "allUsers"
BINDING = Binding(ROLE, EVERYBODY)


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
        return self.desired() if self.site.service() and self._policy.has(BINDING) else None

    def create(self, wish: State) -> None:
        """Add it; what else the policy holds stays."""
        try:
            self._policy.add(BINDING)
        except CloudError as error:
            if matches(error, {"FAILED_PRECONDITION"}):
                raise _forbidden(self.site, error) from error
            raise

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Take it away; what else the policy holds stays."""
        self._policy.remove(BINDING)

    @property
    def _policy(self) -> PolicyOf:
        return PolicyOf(self.site.gcp, "run", self.site.full_name)


def _forbidden(site: RunSite, error: CloudError) -> CredentialsError:
    return CredentialsError(
        f"service {site.name!r} may not be made public",
        why=error.why,
        fix="an organisation policy (iam.allowedPolicyMemberDomains) keeps policies within its domains: have "
        "an exception made, or leave out Access(public=True)",
    )
