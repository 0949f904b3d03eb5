"""The two kinds of resources of a deployment: its releases, and the service that runs some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clouddeploy.engine.events import report
from clouddeploy.engine.resource import State
from clouddeploy.engine.waiting import wait_until
from clouddeploy.errors import CloudError
from clouddeploy.providers.local.client import Client

LOOK_S = 2.0
"""Seconds that one look at a service waits for what is under way."""
SPARE_S = 120.0
LOG_LINES = 20


@dataclass(frozen=True)
class Release:
    """An immutable version of the deployment: the model's files, and the environment of its processes.

    Args:
        client: reaches the machine.
        deployment: whose it is.
        name: of the release.
        settings: ``digest``, ``artifact``, ``env``, ``compute``, ``tags``.
        files: writes the model's files.
    """

    client: Client
    deployment: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: Any = None

    kind: ClassVar[str] = "release"
    immutable: ClassVar[frozenset[str]] = frozenset({"digest", "artifact", "env", "compute"})
    needs: ClassVar[tuple[str, ...]] = ()
    secret: ClassVar[frozenset[str]] = frozenset({"env"})

    @property
    def key(self) -> str:
        """Unique within the deployment."""
        return f"release/{self.name}"

    @property
    def removal(self) -> str:
        """A command that removes it by hand."""
        return f"clouddeploy delete {self.deployment} --target local"

    def desired(self) -> State:
        """What it holds."""
        return self.settings

    def read(self) -> State | None:
        """What is there."""
        found = self.client.find("DescribeRelease", name=self.deployment, release=self.name)
        return None if found is None else dict(found["state"])

    def create(self, wish: State) -> None:
        """Write its files."""
        report(f"writing {self.name}")
        self.client(
            "CreateRelease", name=self.deployment, release=self.name, state=dict(wish), files=self.files
        )

    def update(self, actual: State, wish: State) -> None:
        """Nothing of a release changes: its name is made of its content."""

    def delete(self) -> None:
        """Remove its files."""
        self.client("DeleteRelease", name=self.deployment, release=self.name)


@dataclass(frozen=True)
class Service:
    """What runs: a background process, and the servers of the releases in service.

    Args:
        client: reaches the machine.
        name: the deployment's.
        settings: ``release``, ``shares``, ``host``, ``port``, ``autoscaling``, ``alarms``, …
        needs: the releases in service.
        keep_warm_s: seconds that a release which leaves service stays loaded.
    """

    client: Client
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    keep_warm_s: float = 0.0

    kind: ClassVar[str] = "service"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """Unique within the deployment."""
        return f"service/{self.name}"

    @property
    def removal(self) -> str:
        """A command that removes it by hand."""
        return f"clouddeploy delete {self.name} --target local"

    def desired(self) -> State:
        """The settings, in service."""
        return {**self.settings, "status": "InService"}

    def read(self) -> State | None:
        """The settings that were asked for, and whether they are in service."""
        found = self.client.find("DescribeService", name=self.name)
        return None if found is None else {**found["state"], "status": found["status"]}

    def create(self, wish: State) -> None:
        """Start it."""
        self._put("CreateService", wish)

    def update(self, actual: State, wish: State) -> None:
        """Change it; requests see the change when everything new is ready."""
        self._put("UpdateService", wish)

    def _put(self, operation: str, wish: State) -> None:
        state = {name: value for name, value in wish.items() if name != "status"}
        self.client(operation, name=self.name, state=state, keep_warm_s=self.keep_warm_s)
        limit_s = state["startup_timeout_s"] + state["timeout_s"] + SPARE_S
        wait_until(self._is_settled, what=f"service {self.name}", timeout_s=limit_s, first_s=0.01, most_s=0.2)

    def _is_settled(self) -> bool:
        found = self.client("DescribeService", name=self.name, wait_s=LOOK_S)
        if found["status"] == "InService":
            return bool(found["settled"])
        if found["status"] in ("Failed", "Stopped"):
            raise CloudError(
                f"service {self.name!r} could not start the release",
                why=found["reason"],
                fix=_fix(found["reason"]),
                code="Failed",
                log_tail=found["tail"][-LOG_LINES:],
            )
        return False

    def delete(self) -> None:
        """End every process of it, and remove its files but for the releases."""
        self.client("DeleteService", name=self.name)


def _fix(reason: str) -> str:
    if reason.startswith("can't listen on"):
        return "stop what listens there, or choose another port; port=0 takes a free one"
    return "mend what the log tells, then deploy again"
