"""Published versions, and the aliases that point to them (Lambda API Reference)."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends import functions
from clouddeploy.emulator.backends.functions import LATEST, Function
from clouddeploy.emulator.call import Call
from clouddeploy.emulator.functions import concurrency, urls
from clouddeploy.emulator.functions.describing import configuration, page, pending, refuse_in_progress
from clouddeploy.emulator.functions.names import (
    absent,
    check_revision,
    conflict,
    invalid,
    only_name,
    resolve,
)

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud


def publish(function: Function, description: str | None = None) -> Function:
    """Publish ``$LATEST`` of a function."""
    made = functions.publish(function.region, function.name, description)
    if pending(function):
        made.extras["active_at"] = function.extras["active_at"]
    made.extras.pop("updated_at", None)
    return made


def publish_version(_: Cloud, call: Call) -> dict[str, Any]:
    """PublishVersion: the same version again when nothing has changed."""
    wish = call.params
    function = functions.latest(call.region, only_name(call))
    refuse_in_progress(function)
    given = wish.get("CodeSha256")
    if given and given != function.sha256:
        raise invalid(
            f"CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({function.sha256}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )
    check_revision(wish.get("RevisionId"), function.extras)
    made = publish(function, wish.get("Description"))
    return configuration(made, made.version)


def list_versions(_: Cloud, call: Call) -> dict[str, Any]:
    """ListVersionsByFunction: ``$LATEST`` first."""
    name = only_name(call)
    found = [configuration(functions.latest(call.region, name), LATEST)]
    found += [configuration(v, v.version) for v in functions.versions(call.region, name)]
    return page(found, "Versions", call.params)


def used_by(alias: Any) -> list[str]:
    """The versions that an alias sends events to."""
    return [str(alias.function_version), *weights(alias)]


def weights(alias: Any) -> dict[str, float]:
    """The share of each additional version."""
    found = (alias.routing_config or {}).get("AdditionalVersionWeights") or {}
    return {str(k): float(v) for k, v in found.items()}


def route(region: str, name: str, qualifier: str) -> Function:
    """The version that one event goes to: an alias's by chance, in proportion to its weights.

    "Implement Lambda canary deployments using a weighted alias" (Lambda Developer Guide).
    """
    if qualifier and qualifier != LATEST and not qualifier.isdigit():
        alias = functions.aliases(region, name).get(qualifier)
        left = random.random()
        for number, share in weights(alias).items() if alias is not None else ():
            left -= share
            if left < 0:
                return functions.version(region, name, number)
    return resolve(region, name, qualifier)


def _describe(alias: Any) -> dict[str, Any]:
    told: dict[str, Any] = alias.to_json()
    told.pop("RoutingConfig", None)
    if weights(alias):
        told["RoutingConfig"] = {"AdditionalVersionWeights": weights(alias)}
    return told


def _check(region: str, name: str, main: str, routing: Any) -> None:
    functions.version(region, name, main)
    shares = {str(k): v for k, v in ((routing or {}).get("AdditionalVersionWeights") or {}).items()}
    if not shares:
        return
    if len(shares) > 1:
        raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if LATEST in (main, *shares):
        raise invalid("$LATEST is not supported for an alias pointing to more than 1 version")
    if main in shares:
        raise invalid(
            f"Invalid function version {main}. Function version {main} is already included in routing "
            "configuration."
        )
    for number, share in shares.items():
        if not 0 <= share <= 1:
            raise invalid(f"Value '{share}' of the weight of version {number} must be between 0.0 and 1.0")
        functions.version(region, name, number)


def create_alias(_: Cloud, call: Call) -> dict[str, Any]:
    """CreateAlias."""
    wish, region, name = call.params, call.region, only_name(call)
    if wish["Name"] in functions.aliases(region, name):
        raise conflict(f"Alias already exists: {functions.arn_of(region, name, wish['Name'])}")
    main = str(wish["FunctionVersion"])
    _check(region, name, main, wish.get("RoutingConfig"))
    alias = functions.add_alias(
        region, name, wish["Name"], main, wish.get("Description", ""), wish.get("RoutingConfig")
    )
    return _describe(alias)


def _alias(region: str, name: str, alias: str) -> Any:
    found = functions.aliases(region, name).get(alias)
    if found is None:
        raise absent(f"Cannot find alias arn: {functions.arn_of(region, name, alias)}")
    return found


def get_alias(_: Cloud, call: Call) -> dict[str, Any]:
    """GetAlias."""
    return _describe(_alias(call.region, only_name(call), call.params["Name"]))


def list_aliases(_: Cloud, call: Call) -> dict[str, Any]:
    """ListAliases, of one version with FunctionVersion."""
    wanted = call.params.get("FunctionVersion")
    found = [
        _describe(alias)
        for _, alias in sorted(functions.aliases(call.region, only_name(call)).items())
        if wanted in (None, str(alias.function_version))
    ]
    return page(found, "Aliases", call.params)


def update_alias(cloud: Cloud, call: Call) -> dict[str, Any]:
    """UpdateAlias: what isn't given stays."""
    wish, region, name = call.params, call.region, only_name(call)
    alias = _alias(region, name, wish["Name"])
    check_revision(wish.get("RevisionId"), {"RevisionId": alias.revision_id})
    main = str(wish.get("FunctionVersion") or alias.function_version)
    routing = wish.get("RoutingConfig", alias.routing_config)
    _check(region, name, main, routing)
    moved = main != alias.function_version
    with functions.asked():
        alias.function_version, alias.routing_config = main, routing
        alias.description = wish.get("Description", alias.description)
        alias.revision_id = str(uuid.uuid4())
    if moved:
        concurrency.moved(cloud, region, name, alias.name)
    return _describe(alias)


def delete_alias(cloud: Cloud, call: Call) -> dict[str, Any]:
    """DeleteAlias: deleting what is gone succeeds; its URL and its concurrency go with it."""
    region, name = call.region, only_name(call)
    alias = call.params["Name"]
    if alias in functions.aliases(region, name):
        concurrency.forget(cloud, region, name, alias)
        urls.forget(region, name, alias)
        cloud.scaling.forget(region, f"function:{name}:{alias}")
        functions.aliases(region, name).pop(alias, None)
    return {}
