"""The methods of ``projects.locations.functions`` (Cloud Functions API v2)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google import masks
from clouddeploy.emulator.google.call import Call, now
from clouddeploy.emulator.google.errors import ApiError, missing
from clouddeploy.emulator.google.functions import checks, deploying
from clouddeploy.emulator.google.functions.fields import FIELDS
from clouddeploy.emulator.google.functions.service import dry_run, service_name, shown
from clouddeploy.emulator.google.listing import page
from clouddeploy.emulator.google.operations import Operation

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

KEPT = ("name", "state", "stateMessages", "updateTime", "createTime", "url", "satisfiesPzs")


def create(cloud: Google, call: Call) -> dict[str, Any]:
    """``create``: an operation; the function is ``DEPLOYING`` until it ends."""
    identity = call.query.get("functionId", "") or call.body.get("name", "").rpartition("/")[2]
    checks.name(identity)
    name = f"{call.name}/functions/{identity}"
    given = {k: v for k, v in call.body.items() if k not in KEPT}
    at = now()
    with cloud.lock:
        if name in cloud.functions:
            raise ApiError("ALREADY_EXISTS", f"Resource '{name}' already exists.")
        if service_name(name) in cloud.services:
            raise ApiError(
                "ALREADY_EXISTS",
                f"Could not create Cloud Run service {identity}. A Cloud Run service with this name already "
                "exists. Please redeploy the function with a different name.",
            )
        function = checks.filled({"name": name, **given}, call.project)
        function.update(state="DEPLOYING", createTime=at, updateTime=at)
        _admit(cloud, function)
        cloud.functions[name] = function

    def work(operation: Operation) -> dict[str, Any]:
        return _settled(cloud, function, deploying.deploy(cloud, operation, function, call.principal))

    return _begin(cloud, function, "create", work)


def update(cloud: Google, call: Call) -> dict[str, Any]:
    """``patch``: an operation; when it fails, the function is what it was and serves on."""
    with cloud.lock:
        current = _find(cloud, call.name)
        if current["state"] in ("DEPLOYING", "DELETING"):
            raise checks.queue_refusal()
        mask = masks.paths(call.query.get("updateMask", ""))
        masks.check(FIELDS, "Function", mask)
        before = copy.deepcopy(current)
        wished = masks.merged(_without_flag(current), call.body, mask, KEPT)
        if any(path.startswith("serviceConfig") for path in mask) or not mask:
            # Sizes that the service chose follow the memory, unless they are given.
            if "serviceConfig.availableMemory" in mask and "serviceConfig.availableCpu" not in mask:
                wished["serviceConfig"].pop("availableCpu", None)
            flag = call.body.get("serviceConfig", {}).get("allTrafficOnLatestRevision", False)
            if not mask or {"serviceConfig", "serviceConfig.allTrafficOnLatestRevision"} & set(mask):
                wished["serviceConfig"]["allTrafficOnLatestRevision"] = flag
        wished = checks.filled(wished, call.project)
        _admit(cloud, wished)
        wished.pop("stateMessages", None)
        current["state"] = "DEPLOYING"

    def work(operation: Operation) -> dict[str, Any]:
        try:
            deploying.deploy(cloud, operation, wished, call.principal)
        except ApiError:
            with cloud.lock:
                current.clear()
                current.update(before)
            raise
        wished["updateTime"] = now()
        with cloud.lock:
            current.clear()
            current.update(wished)
        return _settled(cloud, current, current)

    return _begin(cloud, wished, "update", work)


def delete(cloud: Google, call: Call) -> dict[str, Any]:
    """``delete``: an operation."""
    with cloud.lock:
        function = _find(cloud, call.name)
        if function["state"] in ("DEPLOYING", "DELETING"):
            raise checks.queue_refusal()
        function["state"] = "DELETING"
    return _begin(cloud, function, "delete", lambda operation: deploying.delete(cloud, operation, call.name))


def get(cloud: Google, call: Call) -> dict[str, Any]:
    """``get``"""
    with cloud.lock:
        return shown(cloud, _find(cloud, call.name))


def list_all(cloud: Google, call: Call) -> dict[str, Any]:
    """``list``; the location ``-`` is every one."""
    project, region = call.name.split("/")[1::2]
    with cloud.lock:
        found = [
            shown(cloud, f)
            for n, f in sorted(cloud.functions.items())
            if n.split("/")[1] == project and region in ("-", n.split("/")[3])
        ]
    return page(call, "functions", found)


def runtimes(_cloud: Google, _call: Call) -> dict[str, Any]:
    """``projects.locations.runtimes.list``"""
    found = [
        {
            "name": name,
            "displayName": f"Python {name[6]}.{name[7:]}",
            "stage": "DECOMMISSIONED" if name in checks.RETIRED else "GA",
            "environment": "GEN_2",
        }
        for name in checks.RUNTIMES
    ]
    return {"runtimes": found}


def _admit(cloud: Google, function: dict[str, Any]) -> None:
    checks.check(function)
    dry_run(cloud, function)
    account = function["serviceConfig"]["serviceAccountEmail"]
    before = cloud.functions.get(function["name"], {}).get("serviceConfig", {}).get("serviceAccountEmail")
    if account != before:
        cloud.accounts.use(account, cloud.google.account_ready_after_calls)


def _begin(cloud: Google, function: dict[str, Any], verb: str, work: Any) -> dict[str, Any]:
    parent = function["name"].partition("/functions/")[0]

    def guarded(operation: Operation) -> dict[str, Any]:
        try:
            found: dict[str, Any] = work(operation)
        except ApiError as error:
            deploying.note_failure(operation, error)
            _failed(cloud, function, verb, error)
            raise
        return found

    return cloud.begin(parent, deploying.metadata(function, verb), guarded).describe()


def _settled(cloud: Google, function: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    with cloud.lock:
        function["state"] = "ACTIVE"
        function["updateTime"] = now()
        return {"@type": deploying.TYPE, **shown(cloud, made)}


def _failed(cloud: Google, function: dict[str, Any], verb: str, error: ApiError) -> None:
    if verb != "create":
        return
    with cloud.lock:
        function["state"] = "FAILED"
        function["stateMessages"] = [deploying.state_message(error)]


def _without_flag(function: dict[str, Any]) -> dict[str, Any]:
    """The function without the wish of the last deploy for where traffic goes."""
    found = copy.deepcopy(function)
    found["serviceConfig"].pop("allTrafficOnLatestRevision", None)
    return found


def _find(cloud: Google, name: str) -> dict[str, Any]:
    found = cloud.functions.get(name)
    if found is None:
        raise missing(name)
    return found
