"""What a provider offers to be tested: a clean cloud, a way to look into it, and its seam."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from clouddeploy.deployer import Deployer
from clouddeploy.spec import Autoscaling
from clouddeploy.testing.faults import Call, Fault, Transport

Wrap = Callable[[Transport], Transport]


class Rig(Protocol):
    """A provider with its cloud, ready to be tested. Found by the entry point group ``clouddeploy.rigs``."""

    target: str
    wish: dict[str, Any]
    """Further arguments of `Deployer.deploy`, so that a deployment has everything the target can have."""
    rescaled: Autoscaling
    """Another policy than that of `wish`, which the target can change to without a deploy."""
    attempts: int
    """How often its seam tries one call that fails in passing."""
    every_read: bool
    """Whether sweeps break every read; else, of reads that are repeated, the first and the last."""

    def deployer(self, wrap: Wrap | None = None) -> Deployer:
        """A deployer with nothing remembered from others, its seam wrapped by `wrap`."""

    def inventory(self) -> dict[str, str]:
        """Every object in the cloud that costs money or blocks a name, mapped to its state as text."""

    def error(self, fault: Fault, service: str, operation: str) -> Exception:
        """What the cloud's own client raises when a call breaks so."""

    def mutates(self, call: Call) -> bool:
        """Whether a call changes something."""


Rigs = Callable[[], AbstractContextManager[Rig]]
"""An entry point of ``clouddeploy.rigs``: opens a rig and closes what it started."""
GROUP = "clouddeploy.rigs"


def rigs() -> dict[str, Rigs]:
    """The installed rigs by target."""
    from importlib.metadata import entry_points

    return {entry.name: entry.load() for entry in entry_points(group=GROUP)}
