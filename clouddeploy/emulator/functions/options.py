"""What can be set beside a function: asynchronous events, runtime management, recursion, signing.

Lambda API Reference. These settings belong to a function, a version or an alias; only those of asynchronous
events change what happens here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends import functions
from clouddeploy.emulator.backends.functions import LATEST
from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.functions.describing import page
from clouddeploy.emulator.functions.names import absent, invalid, named, only_name, resolve

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

ASYNC = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")


def _kept(region: str, name: str, kind: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = functions.shared(region, name).setdefault(kind, {})
    return found


def asynchronous(region: str, name: str, qualifier: str) -> dict[str, Any]:
    """How asynchronous events of a function, a version or an alias are treated; empty by default."""
    return _kept(region, name, "async").get(qualifier or LATEST, {})


def put_async(_: Cloud, call: Call) -> dict[str, Any]:
    """PutFunctionEventInvokeConfig: replaces all of it."""
    return _write_async(call, keep=False)


def update_async(_: Cloud, call: Call) -> dict[str, Any]:
    """UpdateFunctionEventInvokeConfig: what isn't given stays."""
    return _write_async(call, keep=True)


def _write_async(call: Call, *, keep: bool) -> dict[str, Any]:
    wish, (name, qualifier) = call.params, named(call)
    resolve(call.region, name, qualifier)
    configs, where = _kept(call.region, name, "async"), qualifier or LATEST
    if keep and where not in configs:
        raise _no_async(call.region, name, where)
    for side in (wish.get("DestinationConfig") or {}).values():
        arn = (side or {}).get("Destination") or ""
        if arn and not arn.startswith("arn:"):
            raise invalid(f"The provided destination config DestinationConfig is invalid: {arn}")
    config = dict(configs.get(where, {})) if keep else {}
    config.update({member: wish[member] for member in ASYNC if wish.get(member) is not None})
    config["LastModified"] = time.time()
    configs[where] = config
    return _told(call.region, name, where, config)


def _told(region: str, name: str, qualifier: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"DestinationConfig": {}, **config, "FunctionArn": functions.arn_of(region, name, qualifier)}


def _no_async(region: str, name: str, qualifier: str) -> Refused:
    arn = functions.arn_of(region, name, qualifier)
    return absent(f"The function {arn} doesn't have an EventInvokeConfig")


def get_async(_: Cloud, call: Call) -> dict[str, Any]:
    """GetFunctionEventInvokeConfig."""
    name, qualifier = named(call)
    resolve(call.region, name, qualifier)
    config = asynchronous(call.region, name, qualifier)
    if not config:
        raise _no_async(call.region, name, qualifier or LATEST)
    return _told(call.region, name, qualifier or LATEST, config)


def list_async(_: Cloud, call: Call) -> dict[str, Any]:
    """ListFunctionEventInvokeConfigs."""
    name = only_name(call)
    configs = _kept(call.region, name, "async")
    found = [_told(call.region, name, qualifier, config) for qualifier, config in sorted(configs.items())]
    return page(found, "FunctionEventInvokeConfigs", call.params)


def delete_async(_: Cloud, call: Call) -> dict[str, Any]:
    """DeleteFunctionEventInvokeConfig."""
    name, qualifier = named(call)
    if _kept(call.region, name, "async").pop(qualifier or LATEST, None) is None:
        raise _no_async(call.region, name, qualifier or LATEST)
    return {}


def put_runtime(cloud: Cloud, call: Call) -> dict[str, Any]:
    """PutRuntimeManagementConfig."""
    wish, (name, qualifier) = call.params, named(call)
    resolve(call.region, name, qualifier)
    mode, arn = wish["UpdateRuntimeOn"], wish.get("RuntimeVersionArn")
    if (mode == "Manual") != bool(arn):
        raise invalid("RuntimeVersionArn must be given with Manual runtime update mode, and only with it.")
    _kept(call.region, name, "runtime")[qualifier or LATEST] = {
        "UpdateRuntimeOn": mode,
        **({"RuntimeVersionArn": arn} if arn else {}),
    }
    return get_runtime(cloud, call)


def get_runtime(_: Cloud, call: Call) -> dict[str, Any]:
    """GetRuntimeManagementConfig."""
    name, qualifier = named(call)
    resolve(call.region, name, qualifier)
    kept = _kept(call.region, name, "runtime").get(qualifier or LATEST, {"UpdateRuntimeOn": "Auto"})
    return {**kept, "FunctionArn": functions.arn_of(call.region, name, qualifier)}


def get_recursion(_: Cloud, call: Call) -> dict[str, Any]:
    """GetFunctionRecursionConfig."""
    kept = functions.shared(call.region, only_name(call))
    return {"RecursiveLoop": kept.get("recursion", "Terminate")}


def put_recursion(cloud: Cloud, call: Call) -> dict[str, Any]:
    """PutFunctionRecursionConfig."""
    functions.shared(call.region, only_name(call))["recursion"] = call.params["RecursiveLoop"]
    return get_recursion(cloud, call)
