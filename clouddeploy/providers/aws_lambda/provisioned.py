"""Provisioned concurrency: copies that are kept running on the alias.

Lambda Developer Guide, "Configuring provisioned concurrency for a function".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import DeployFailed
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.settling import wait, when_free
from clouddeploy.providers.aws_lambda.site import MISSING, Site

NO_CONFIG = MISSING | {"ProvisionedConcurrencyConfigNotFoundException"}


@dataclass(frozen=True)
class ProvisionedConcurrency:
    """How many copies are kept running.

    Args:
        site: where it lives.
        count: that many.
        most: what autoscaling may make of it; no drift.
        least: the least that autoscaling may make of it.
        needs: keys of what must exist before.
    """

    site: Site
    count: int
    most: int = 0
    least: int = 0
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "provisioned concurrency"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``provisioned-concurrency/<function>:live``."""
        return f"provisioned-concurrency/{self.site.name}:{names.ALIAS}"

    @property
    def removal(self) -> str:
        """Removes it; requests then start copies on demand."""
        return (
            f"aws lambda delete-provisioned-concurrency-config --function-name {self.site.name} "
            f"--qualifier {names.ALIAS}"
        )

    def desired(self) -> State:
        """The number, and that none of them failed to start."""
        return {"count": self.count, "failed": False}

    def read(self) -> State | None:
        """As Lambda has it; a number that autoscaling may have set counts as the one wished for."""
        if self.site.empty:
            return None
        found = find(self.site)
        if found is None:
            return None
        count = int(str(found["RequestedProvisionedConcurrentExecutions"]))
        scaled = self.least <= count <= self.most
        return {"count": self.count if scaled else count, "failed": found.get("Status") == "FAILED"}

    def create(self, wish: State) -> None:
        """Ask for them, and wait until they run."""
        self.site.survey.spend()
        count = wish["count"]
        when_free(
            self.site,
            lambda: self.site.live("PutProvisionedConcurrencyConfig", ProvisionedConcurrentExecutions=count),
        )
        await_ready(self.site)

    def update(self, actual: State, wish: State) -> None:
        """Ask for another number."""
        self.create(wish)

    def delete(self) -> None:
        """Keep none running."""
        self.site.survey.spend()
        when_free(self.site, lambda: self.site.find_live("DeleteProvisionedConcurrencyConfig"))


def find(site: Site) -> dict[str, object] | None:
    """What is asked for and what runs, if anything is asked for."""
    return site.aws.find(
        "lambda",
        "GetProvisionedConcurrencyConfig",
        NO_CONFIG,
        FunctionName=site.name,
        Qualifier=names.ALIAS,
    )


def await_ready(site: Site) -> None:
    """Wait until the copies run; none asked for is success.

    Raises:
        DeployFailed: they can't; says why.
    """

    def look() -> dict[str, object] | None:
        found = find(site) or {"Status": "READY"}
        return None if found.get("Status") == "IN_PROGRESS" else found

    found = wait(site, look, f"provisioned concurrency of function {site.name} to be ready")
    if found.get("Status") == "FAILED":
        raise DeployFailed(
            f"provisioned concurrency of function {site.name!r} failed",
            why=str(found.get("StatusReason") or "Lambda gives no reason"),
            fix="mend what the reason names; the account's concurrency limit may be too low",
        )
