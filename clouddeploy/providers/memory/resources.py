"""The four resources of a deployment: artifact, release, endpoint, scaling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from clouddeploy.engine.events import report
from clouddeploy.engine.resource import State, differences
from clouddeploy.engine.waiting import wait_until
from clouddeploy.errors import CloudError, NameConflict
from clouddeploy.providers.memory.client import Client

DEPLOYMENT = "clouddeploy:deployment"
"""Tag that names the deployment an object belongs to."""


@dataclass(frozen=True)
class _Object:
    client: Client
    deployment: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    noun: ClassVar[str]
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def kind(self) -> str:
        return self.noun.lower()

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def removal(self) -> str:
        return f"clouddeploy delete {self.deployment} --target memory"

    def desired(self) -> State:
        return self.settings

    def read(self) -> State | None:
        found = self.client.find(f"Describe{self.noun}", name=self.name)
        if found is None:
            return None
        owner = found["tags"].get(DEPLOYMENT)
        if owner != self.deployment:
            raise NameConflict(
                f"{self.kind} {self.name!r} exists and isn't part of deployment {self.deployment!r}",
                why=f"it belongs to {owner!r}" if owner else f"it has no tag {DEPLOYMENT}",
                fix="choose another name, or remove it",
            )
        return self._state(found)

    def create(self, wish: State) -> None:
        try:
            self.client(
                f"Create{self.noun}", name=self.name, state=wish, tags=self._labels(), **self._extra()
            )
        except CloudError as error:
            if error.code != "AlreadyExists":
                raise
            actual = self.read() or {}
            if differences(actual, wish):
                self.update(actual, wish)
        self._wait()

    def update(self, actual: State, wish: State) -> None:
        self.client(f"Update{self.noun}", name=self.name, state=wish, tags=self._labels())
        self._wait()

    def delete(self) -> None:
        self.client.find(f"Delete{self.noun}", name=self.name)

    def _labels(self) -> dict[str, str]:
        return {**self.tags, DEPLOYMENT: self.deployment}

    def _state(self, found: Mapping[str, Any]) -> State:
        return dict(found["state"])

    def _extra(self) -> dict[str, Any]:
        return {}

    def _wait(self) -> None:
        """Wait until the object is usable; most are at once."""


@dataclass(frozen=True)
class Artifact(_Object):
    """The model's bytes, stored under the digest of their content."""

    noun: ClassVar[str] = "Artifact"
    immutable: ClassVar[frozenset[str]] = frozenset({"digest"})
    files: Any = None

    def _extra(self) -> dict[str, Any]:
        report(f"storing {self.name}")
        return {"files": self.files}


@dataclass(frozen=True)
class Release(_Object):
    """An immutable version of the deployment: which artifact, with which settings."""

    noun: ClassVar[str] = "Release"
    immutable: ClassVar[frozenset[str]] = frozenset({"artifact", "digest", "compute"})


@dataclass(frozen=True)
class Endpoint(_Object):
    """What answers requests, with one release at a time."""

    noun: ClassVar[str] = "Endpoint"
    startup_timeout_s: float = 600

    def desired(self) -> State:
        return {**self.settings, "status": "InService"}

    def create(self, wish: State) -> None:
        super().create(_settings(wish))

    def update(self, actual: State, wish: State) -> None:
        super().update(actual, _settings(wish))
        now = self.read()
        if now is not None and differences(now, _settings(wish)):
            raise self._failure(self.client(f"Describe{self.noun}", name=self.name))

    def _state(self, found: Mapping[str, Any]) -> State:
        return {"shares": {}, **found["state"], "status": found["status"]}

    def _wait(self) -> None:
        def in_service() -> bool:
            found = self.client(f"Describe{self.noun}", name=self.name)
            if found["status"] == "Failed":
                raise self._failure(found)
            return bool(found["status"] == "InService")

        timeout_s = self.startup_timeout_s
        wait_until(
            in_service, what=f"endpoint {self.name} to be InService", timeout_s=timeout_s, first_s=0.01
        )

    def _failure(self, found: Mapping[str, Any]) -> CloudError:
        return CloudError(
            f"endpoint {self.name!r} could not start the release",
            why=found["reason"],
            fix="mend what the log tells, then deploy again",
            code="Failed",
            log_tail=self.client("GetLogs", name=self.name, since_s=3600.0, limit=20),
        )


@dataclass(frozen=True)
class Scaling(_Object):
    """The limits of the number of copies. Recorded only: this cloud always runs one."""

    noun: ClassVar[str] = "Scaling"


def _settings(wish: State) -> dict[str, Any]:
    return {field: value for field, value in wish.items() if field != "status"}


KINDS: Mapping[str, type[_Object]] = {kind.noun: kind for kind in (Artifact, Release, Endpoint, Scaling)}
"""The resource class of each kind of object."""


def existing(client: Client, deployment: str, found: Mapping[str, Any]) -> _Object:
    """The resource for an object that was listed; what it is built on, it needs."""
    from clouddeploy.providers.memory.cloud import USES

    used = USES[found["kind"]]
    needs = (f"{used.lower()}/{found['state'][used.lower()]}",) if used else ()
    return KINDS[found["kind"]](client, deployment, found["name"], found["state"], needs)
