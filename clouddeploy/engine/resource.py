"""What the engine asks of one object in a cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

State = Mapping[str, Any]
"""A resource's settings, as plain comparable values; it holds all that `create` needs."""


@runtime_checkable
class Resource(Protocol):
    """One object in a cloud, under a name that was computed beforehand.

    A class may also have ``secret``, the names of state fields whose values no plan shows.

    Members are read-only, so that frozen dataclasses satisfy the protocol. A resource knows
    nothing of plans, and receives no value from another resource.
    """

    @property
    def kind(self) -> str:
        """The cloud's own product name for it, such as ``endpoint config``."""

    @property
    def key(self) -> str:
        """Unique within a deployment and stable, such as ``endpoint-config/digits-1f2e3d``."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the resources that must exist before this one; removed only after it."""

    @property
    def immutable(self) -> frozenset[str]:
        """Fields of the state that can't change in place: a difference there means replace."""

    @property
    def removal(self) -> str:
        """A shell command with which a person can remove it by hand."""

    def desired(self) -> State:
        """The state that should be. Makes no call."""

    def read(self) -> State | None:
        """The state that is, or None when there is no such object. Changes nothing.

        Raises:
            NameConflict: an object of that name exists and isn't this deployment's.
        """

    def create(self, wish: State) -> None:
        """Bring the object into being with the state `wish`, and wait until it is usable.

        Repeatable: when the object exists already and is this deployment's, that is success.
        """

    def update(self, actual: State, wish: State) -> None:
        """Change the object from `actual` to `wish`, and wait until the change is in force."""

    def delete(self) -> None:
        """Remove the object and wait until it is gone. A missing object is success."""


def differences(actual: State, wish: State) -> dict[str, tuple[Any, Any]]:
    """Fields of `wish` that differ in `actual`, as ``field: (now, then)``."""
    return {k: (actual.get(k), v) for k, v in wish.items() if actual.get(k) != v}
