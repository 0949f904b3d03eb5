"""A resource whose verbs are given as functions, for tests that look at one situation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.engine import State


def nothing() -> None:
    """Do nothing, successfully."""


@dataclass
class Acting:
    """A resource that notes which verbs were called, then does what it was told to do."""

    key: str
    needs: tuple[str, ...] = ()
    actual: Mapping[str, Any] | None = None
    wish: Mapping[str, Any] = field(default_factory=lambda: {"size": 1})
    immutable: frozenset[str] = frozenset()
    on_read: Callable[[], None] = nothing
    on_create: Callable[[], None] = nothing
    on_update: Callable[[], None] = nothing
    on_delete: Callable[[], None] = nothing
    log: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.key.partition("/")[0].replace("-", " ")

    @property
    def removal(self) -> str:
        return f"cloud rm {self.key}"

    def desired(self) -> State:
        return self.wish

    def read(self) -> State | None:
        self.on_read()
        return self.actual

    def create(self, wish: State) -> None:
        self.log.append(f"create {self.key}")
        self.on_create()
        self.actual = dict(wish)

    def update(self, actual: State, wish: State) -> None:
        self.log.append(f"update {self.key}")
        self.on_update()
        self.actual = dict(wish)

    def delete(self) -> None:
        self.log.append(f"delete {self.key}")
        self.on_delete()
        self.actual = None


def fail(error: BaseException) -> Callable[[], None]:
    """A function that raises `error`."""

    def act() -> None:
        raise error

    return act
