"""Reserved and provisioned concurrency, and the account's settings (Lambda API Reference).

"Configuring reserved concurrency" and "Configuring provisioned concurrency" (Lambda Developer Guide).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends import functions
from clouddeploy.emulator.backends.functions import LATEST, Function
from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.functions.describing import page
from clouddeploy.emulator.functions.names import invalid, named, only_name, resolve

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

KEPT_UNRESERVED = 100
CODE_SIZE, UNZIPPED, ZIPPED = 80_530_636_800, 262_144_000, 52_428_800


@dataclass
class Provisioned:
    """Provisioned concurrency of one alias or version.

    Args:
        wanted: environments asked for.
        status: ``IN_PROGRESS``, ``READY`` or ``FAILED``.
        reason: why it failed.
    """

    wanted: int
    status: str = "IN_PROGRESS"
    reason: str = ""
    modified: float = field(default_factory=time.time)

    def describe(self) -> dict[str, Any]:
        """As the API shows it."""
        ready = self.wanted if self.status == "READY" else 0
        told: dict[str, Any] = {
            "RequestedProvisionedConcurrentExecutions": self.wanted,
            "AvailableProvisionedConcurrentExecutions": ready,
            "AllocatedProvisionedConcurrentExecutions": ready,
            "Status": self.status,
            "LastModified": functions.timestamp(self.modified),
        }
        return {**told, "StatusReason": self.reason} if self.reason else told


def _configs(region: str, name: str) -> dict[str, Provisioned]:
    found: dict[str, Provisioned] = functions.shared(region, name).setdefault("provisioned", {})
    return found


def put(cloud: Cloud, call: Call) -> dict[str, Any]:
    """PutProvisionedConcurrencyConfig."""
    name, qualifier = named(call)
    config = provision(
        cloud, call.region, name, qualifier, int(call.params["ProvisionedConcurrentExecutions"])
    )
    return config.describe()


def provision(cloud: Cloud, region: str, name: str, qualifier: str, wanted: int) -> Provisioned:
    """Ask for so many environments of a version or an alias.

    Raises:
        Refused: it is ``$LATEST``, another alias has them already, or there is no concurrency left.
    """
    function = resolve(region, name, qualifier)
    if function.version == LATEST:
        raise invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
    alias = functions.aliases(region, name).get(qualifier)
    if alias is not None and (alias.routing_config or {}).get("AdditionalVersionWeights"):
        raise invalid("Alias with weights can not be used with Provisioned Concurrency")
    configs = _configs(region, name)
    for other in configs:
        if other != qualifier and resolve(region, name, other).version == function.version:
            kind = "alias" if not other.isdigit() else "version"
            raise invalid(
                f"{'Alias' if not qualifier.isdigit() else 'Version'} can't be used for Provisioned "
                f"Concurrency configuration on an already Provisioned {kind}: {other}"
            )
    taken = sum(c.wanted for q, c in configs.items() if q != qualifier)
    if function.reserved is not None and wanted + taken > function.reserved:
        raise invalid(
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution "
            "for function"
        )
    if function.reserved is None and wanted + taken > cloud.functions.unreserved(region) - KEPT_UNRESERVED:
        raise invalid(
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{KEPT_UNRESERVED}]."
        )
    config = configs[qualifier] = Provisioned(wanted)
    cloud.spawn(_allocate, cloud, region, name, qualifier, config)
    return config


def current(region: str, name: str, qualifier: str) -> int:
    """How many environments are asked for."""
    config = _configs(region, name).get(qualifier)
    return config.wanted if config is not None else 0


def _allocate(cloud: Cloud, region: str, name: str, qualifier: str, config: Provisioned) -> None:
    """Start the environments; nothing when another call took over meanwhile."""
    try:
        function = resolve(region, name, qualifier)
        if _configs(region, name).get(qualifier) is not config:
            return
        # A machine may have room for fewer processes; all but none counts as done, as events find their way.
        started = cloud.functions.provision(function, config.wanted)
        if _configs(region, name).get(qualifier) is not config:
            settle(cloud, region, name)
            return
    except Refused:  # deleted meanwhile
        cloud.functions.retire(region, name)
        return
    config.modified = time.time()
    if started:
        config.status = "READY"
    else:
        config.status, config.reason = "FAILED", "FUNCTION_ERROR_INIT_FAILURE"


def moved(cloud: Cloud, region: str, name: str, alias: str) -> None:
    """An alias points to another version: its environments are started anew for that one."""
    configs = _configs(region, name)
    old = configs.get(alias)
    if old is not None:
        config = configs[alias] = Provisioned(old.wanted)
        settle(cloud, region, name)
        cloud.spawn(_allocate, cloud, region, name, alias, config)


def forget(cloud: Cloud, region: str, name: str, qualifier: str) -> None:
    """Take away what an alias or a version had."""
    if _configs(region, name).pop(qualifier, None) is not None:
        settle(cloud, region, name)


def settle(cloud: Cloud, region: str, name: str) -> None:
    """End the environments that no configuration asks for."""
    wanted: dict[str, int] = {}
    for qualifier, config in _configs(region, name).items():
        wanted[resolve(region, name, qualifier).version] = config.wanted
    for function in functions.versions(region, name):
        have = cloud.functions.provisioned(function)
        if have > wanted.get(function.version, 0):
            cloud.functions.provision(function, wanted.get(function.version, 0))


def get(_: Cloud, call: Call) -> dict[str, Any]:
    """GetProvisionedConcurrencyConfig."""
    name, qualifier = named(call)
    resolve(call.region, name, qualifier)
    config = _configs(call.region, name).get(qualifier)
    if config is None:
        message = "No Provisioned Concurrency Config found for this function"
        raise Refused(message, code="ProvisionedConcurrencyConfigNotFoundException", status=404)
    return config.describe()


def listing(_: Cloud, call: Call) -> dict[str, Any]:
    """ListProvisionedConcurrencyConfigs."""
    name = only_name(call)
    found = [
        {"FunctionArn": functions.arn_of(call.region, name, qualifier), **config.describe()}
        for qualifier, config in sorted(_configs(call.region, name).items())
    ]
    return page(found, "ProvisionedConcurrencyConfigs", call.params)


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    """DeleteProvisionedConcurrencyConfig: deleting what is gone succeeds."""
    name, qualifier = named(call)
    resolve(call.region, name, qualifier)
    forget(cloud, call.region, name, qualifier)
    return {}


def reserve(cloud: Cloud, call: Call) -> dict[str, Any]:
    """PutFunctionConcurrency: at least 100 stay for functions that reserve nothing."""
    function = functions.latest(call.region, only_name(call))
    count = int(call.params["ReservedConcurrentExecutions"])
    left = cloud.functions.unreserved(call.region) + (function.reserved or 0) - count
    if left < KEPT_UNRESERVED:
        raise invalid(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            f"UnreservedConcurrentExecution below its minimum value of [{KEPT_UNRESERVED}]."
        )
    provisioned = sum(c.wanted for c in _configs(call.region, function.name).values())
    if count < provisioned:
        raise invalid(
            f"ReservedConcurrentExecutions {count} should not be lower than function's total provisioned "
            f"concurrency [{provisioned}]."
        )
    functions.reserve(function, count)
    return {"ReservedConcurrentExecutions": count}


def get_reserved(_: Cloud, call: Call) -> dict[str, Any]:
    """GetFunctionConcurrency."""
    reserved = functions.latest(call.region, only_name(call)).reserved
    return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}


def lift(_: Cloud, call: Call) -> dict[str, Any]:
    """DeleteFunctionConcurrency."""
    functions.reserve(functions.latest(call.region, only_name(call)), None)
    return {}


def account(cloud: Cloud, call: Call) -> dict[str, Any]:
    """GetAccountSettings."""
    found = functions.everything(call.region)
    all_of: list[Function] = [v for f in found for v in (f, *functions.versions(call.region, f.name))]
    return {
        "AccountLimit": {
            "TotalCodeSize": CODE_SIZE,
            "CodeSizeUnzipped": UNZIPPED,
            "CodeSizeZipped": ZIPPED,
            "ConcurrentExecutions": cloud.settings.function_concurrency,
            "UnreservedConcurrentExecutions": cloud.functions.unreserved(call.region),
        },
        "AccountUsage": {
            "TotalCodeSize": sum(int(v.raw.code_size) for v in all_of),
            "FunctionCount": len(found),
        },
    }
