"""A strict little cloud, resources in it, and faults: what the engine is tested against."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.engine import State, wait_until
from clouddeploy.errors import CloudError, NameConflict

Objects = dict[str, dict[str, Any]]
READS = ("get",)


class Killed(BaseException):
    """The process that made the call is dead; nothing that it tries has an effect any more."""


@dataclass
class Cloud:
    """Objects by key. Refuses to create what uses something missing and to delete what is in use.

    Args:
        objects: what exists; its field ``uses`` names other objects.
        foreign: keys of objects that belong to somebody else.
        at: number of the call that breaks, from 0; -1 for none.
        kind: ``refused``, ``lost`` (takes effect, then fails), ``killed`` or ``killed-after``.
        then: further calls break as well when it says so, given the operation.
    """

    objects: Objects = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)
    at: int = -1
    kind: str = "refused"
    then: Callable[[str], bool] = lambda operation: False
    calls: list[tuple[str, str]] = field(default_factory=list)
    broken: bool = False
    dead: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, operation: str, key: str, state: State | None = None) -> Mapping[str, Any] | None:
        with self._lock:
            if self.dead:
                raise Killed
            number = len(self.calls)
            self.calls.append((operation, key))
            if number != self.at:
                if self.broken and self.then(operation):
                    raise CloudError(f"{operation} {key} refused as well")
                return self._answer(operation, key, state)
            self.broken = True
            if self.kind in ("lost", "killed-after"):
                self._answer(operation, key, state)
            if self.kind.startswith("killed"):
                self.dead = True
                raise Killed
            raise CloudError(f"{operation} {key} broke", why=f"injected: {self.kind}")

    def _answer(self, operation: str, key: str, state: State | None) -> Mapping[str, Any] | None:
        if operation == "get":
            if key in self.foreign:
                raise NameConflict(f"{key} belongs to somebody else")
            return dict(self.objects[key]) if key in self.objects else None
        if operation == "delete":
            users = [k for k, v in self.objects.items() if key in v.get("uses", ())]
            if users:
                raise CloudError(f"{key} is in use by {users}")
            self.objects.pop(key, None)
            return None
        if key in self.foreign:
            raise NameConflict(f"{key} belongs to somebody else")
        assert state is not None
        missing = [k for k in state.get("uses", ()) if k not in self.objects]
        if missing:
            raise CloudError(f"{key} uses {missing}, which is not there")
        self.objects[key] = dict(state)
        return None

    def mutations(self) -> list[tuple[str, str]]:
        """The calls that change something."""
        return [call for call in self.calls if call[0] not in READS]

    def restarted(self) -> Cloud:
        """The same cloud as the next process sees it, with nothing broken."""
        return Cloud(self.objects, self.foreign)

    def truth(self) -> Objects:
        """A copy of what exists."""
        return {key: dict(state) for key, state in self.objects.items()}


@dataclass(frozen=True)
class Thing:
    """A resource in `Cloud`."""

    cloud: Cloud
    key: str
    state: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    immutable: frozenset[str] = frozenset()

    @property
    def kind(self) -> str:
        return self.key.partition("/")[0]

    @property
    def removal(self) -> str:
        return f"cloud rm {self.key}"

    def desired(self) -> State:
        return {**self.state, "uses": self.needs}

    def read(self) -> State | None:
        return self.cloud("get", self.key)

    def create(self, wish: State) -> None:
        self.cloud("put", self.key, wish)
        wait_until(lambda: self.cloud("get", self.key), what=f"{self.key} to exist", timeout_s=5, first_s=0)

    def update(self, actual: State, wish: State) -> None:
        self.cloud("put", self.key, wish)

    def delete(self) -> None:
        self.cloud("delete", self.key)
