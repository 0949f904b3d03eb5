"""The methods of ``projects.locations.operations`` (google.longrunning.Operations)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google.call import Call
from clouddeploy.emulator.google.listing import page

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google


def get(cloud: Google, call: Call) -> dict[str, Any]:
    """``get``: waits a little for the end, so that a client that polls without pause doesn't spin."""
    return cloud.operations.get(call.name, cloud.settings().settle_s).describe()


def list_all(cloud: Google, call: Call) -> dict[str, Any]:
    """``list``"""
    return page(call, "operations", [o.describe() for o in cloud.operations.of(call.name)])


def wait(cloud: Google, call: Call) -> dict[str, Any]:
    """``wait``: until the end, or for as long as the request says, 30 s at most here."""
    text = str(call.body.get("timeout", "30s")).rstrip("s")
    return cloud.operations.get(call.name, min(float(text), 30.0)).describe()


def delete(cloud: Google, call: Call) -> dict[str, Any]:
    """``delete``: forgets it; what it does goes on."""
    cloud.operations.get(call.name, 0)
    cloud.operations.forget(call.name)
    return {}
