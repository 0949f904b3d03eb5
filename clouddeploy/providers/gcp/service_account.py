"""The service account that a deployment runs as: it may do nothing but what bindings allow it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from clouddeploy.engine.resource import State
from clouddeploy.errors import CloudDeployError, NameConflict
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.faults import EXISTS, MISSING, matches
from clouddeploy.providers.gcp.survey import Survey

ID_LIMIT: Final = 30
"""Characters of a service account's id, at least 6, ``[a-z]([-a-z0-9]*[a-z0-9])`` (IAM API reference,
CreateServiceAccountRequest.accountId)."""
MARK: Final = "clouddeploy-deployment="
"""Service accounts have no labels, so their description tells whose they are."""


def account_id(target: str, region: str, name: str) -> str:
    """``cd-<name cut>-<hash6>``: unique for a target, region and name in a project."""
    hash6 = hashlib.sha256(f"{target}/{region}/{name}".encode()).hexdigest()[:6]
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"cd-{plain[: ID_LIMIT - 10].rstrip('-')}-{hash6}".replace("--", "-")


def address(project: str, account: str) -> str:
    """The account's e-mail address; a domain-scoped project's parts are turned around."""
    domain, colon, plain = project.partition(":")
    scope = f"{plain}.{domain}" if colon else project
    return f"{account}@{scope}.iam.gserviceaccount.com"


@dataclass(frozen=True)
class ServiceAccount:
    """The account as a resource.

    Args:
        gcp: the seam.
        survey: tells whether anything of the deployment exists at all.
        account: its id.
        deployment: whose it is.
        needs: keys of what must exist before.
    """

    gcp: Gcp
    survey: Survey
    account: str
    deployment: str
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "service account"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def email(self) -> str:
        """Its address."""
        return address(self.gcp.project, self.account)

    @property
    def key(self) -> str:
        """``service-account/<id>``."""
        return f"service-account/{self.account}"

    @property
    def removal(self) -> str:
        """Removes it; bindings that name it stay, as deleted ones."""
        return f"gcloud iam service-accounts delete {self.email} --quiet"

    @property
    def _name(self) -> str:
        return f"projects/{self.gcp.project}/serviceAccounts/{self.email}"

    def desired(self) -> State:
        """Whose it is."""
        return {"description": f"{MARK}{self.deployment}"}

    def read(self) -> State | None:
        """As IAM has it.

        Raises:
            NameConflict: an account of that id isn't this deployment's.
        """
        return None if self.survey.fresh else self._read()

    def _read(self) -> State | None:
        found = self.gcp.find("iam", "GetServiceAccount", MISSING, name=self._name)
        if found is None:
            return None
        description = str(found.get("description", ""))
        if description != self.desired()["description"]:
            raise NameConflict(
                f"service account {self.email!r} exists and isn't this deployment's",
                why=f"its description is {description!r}, not {self.desired()['description']!r}",
                fix="remove it, or give access.role",
            )
        return {"description": description}

    def create(self, wish: State) -> None:
        """Make it; one of ours that is there already is success."""
        self.survey.spend()
        wanted: dict[str, Any] = {
            "accountId": self.account,
            "serviceAccount": {"displayName": f"clouddeploy {self.deployment}"[:100], **wish},
        }
        try:
            self.gcp("iam", "CreateServiceAccount", name=f"projects/{self.gcp.project}", **wanted)
        except CloudDeployError as error:
            if not matches(error, EXISTS) or self._read() is None:
                raise

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes: another description means that it isn't ours."""

    def delete(self) -> None:
        """Remove it."""
        self.gcp.find("iam", "DeleteServiceAccount", MISSING, name=self._name)
