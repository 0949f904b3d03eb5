"""How Lambda describes functions, and the states that they go through ("Lambda function states")."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends import functions
from clouddeploy.emulator.backends.functions import LATEST, Function
from clouddeploy.emulator.functions.names import conflict, invalid

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

PAGE = 50


def begin_creating(cloud: Cloud, function: Function) -> None:
    """A new function is ``Pending`` for a while."""
    function.extras["active_at"] = time.time() + cloud.settings.function_creating_s


def begin_updating(cloud: Cloud, function: Function) -> None:
    """An update is ``InProgress`` for a while."""
    function.extras["updated_at"] = time.time() + cloud.settings.function_updating_s


def pending(function: Function) -> bool:
    """Whether the function is still being created."""
    return bool(time.time() < function.extras.get("active_at", 0))


def updating(function: Function) -> bool:
    """Whether an update is still under way."""
    return bool(time.time() < function.extras.get("updated_at", 0))


def refuse_in_progress(function: Function) -> None:
    """One change at a time.

    Raises:
        Refused: ResourceConflictException.
    """
    start = "The operation cannot be performed at this time."
    if pending(function):
        raise conflict(f"{start} The function is currently in the following state: Pending")
    if updating(function):
        raise conflict(f"{start} An update is in progress for resource: {function.arn}")


def configuration(function: Function, qualifier: str = "") -> dict[str, Any]:
    """The function's configuration as the API shows it (FunctionConfiguration)."""
    told = function.configuration()
    told["Version"] = function.version
    told["FunctionArn"] = functions.arn_of(function.region, function.name, qualifier)
    told["RevisionId"] = function.extras.setdefault("RevisionId", "")
    told.update({k: function.extras[k] for k in functions.FORGOTTEN if function.extras.get(k)})
    published = function.version != LATEST
    told["SnapStart"] = {
        "ApplyOn": "PublishedVersions" if function.snap_start else "None",
        "OptimizationStatus": "On" if function.snap_start and published else "Off",
    }
    told.setdefault("LoggingConfig", {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.name}"})
    if pending(function):
        told["State"], told["StateReasonCode"] = "Pending", "Creating"
        told["StateReason"] = "The function is being created."
    told["LastUpdateStatus"] = "InProgress" if updating(function) else "Successful"
    if updating(function):
        told["LastUpdateStatusReasonCode"] = "Creating"
        told["LastUpdateStatusReason"] = "The function is being updated."
    return {k: v for k, v in told.items() if v is not None and v != []}


def page(found: Sequence[Any], member: str, wish: dict[str, Any], *, most: int = PAGE) -> dict[str, Any]:
    """One page of a listing; the marker is where the next begins."""
    marker = str(wish.get("Marker") or 0)
    if not marker.isdigit():
        raise invalid("The marker is invalid")
    end = int(marker) + min(int(wish.get("MaxItems") or most), most)
    answer: dict[str, Any] = {member: list(found[int(marker) : end])}
    return {**answer, "NextMarker": str(end)} if end < len(found) else answer
