"""Functions themselves: create, read, update, delete (Lambda API Reference)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends import functions
from clouddeploy.emulator.backends.functions import LATEST, Function
from clouddeploy.emulator.call import Call
from clouddeploy.emulator.functions import checks, concurrency, versions
from clouddeploy.emulator.functions.describing import (
    begin_creating,
    begin_updating,
    configuration,
    page,
    refuse_in_progress,
)
from clouddeploy.emulator.functions.names import (
    absent,
    check_revision,
    conflict,
    invalid,
    named,
    only_name,
    resolve,
    split,
)

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    """CreateFunction."""
    wish = dict(call.params)
    name, _ = split(str(wish["FunctionName"]))
    wish["FunctionName"] = name
    if len(name) > 64:
        raise invalid(f"The function name can't be longer than 64 characters: {name}")
    checks.complete(wish)
    checks.variables(wish)
    checks.snap_start(wish, wish.get("Runtime", ""), wish.get("PackageType", "Zip"))
    if functions.find(call.region, name) is not None:
        raise conflict(f"Function already exist: {name}")
    size = len(call.request.body)
    image = checks.code(cloud, call.region, wish["Code"], request_size=size, operation="CreateFunction")
    checks.role(cloud, wish)
    cloud.functions.journal.open(call.region, f"/aws/lambda/{name}")
    function = functions.create(call.region, wish, image)
    begin_creating(cloud, function)
    if wish.get("Publish"):
        made = versions.publish(function)
        return configuration(made, made.version)
    return configuration(function)


def get(_: Cloud, call: Call) -> dict[str, Any]:
    """GetFunction."""
    name, qualifier = named(call)
    function = resolve(call.region, name, qualifier)
    told: dict[str, Any] = {"Configuration": configuration(function, qualifier)}
    image = function.extras.get("Image")
    if image is not None:
        told["Code"] = {
            "RepositoryType": "ECR",
            "ImageUri": image["uri"],
            "ResolvedImageUri": image["resolved"],
        }
    else:
        with functions.asked():
            told["Code"] = function.raw.get_code().get("Code", {})
    if function.raw.tags:
        told["Tags"] = dict(function.raw.tags)
    if function.reserved is not None:
        told["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved}
    return told


def get_configuration(_: Cloud, call: Call) -> dict[str, Any]:
    """GetFunctionConfiguration."""
    name, qualifier = named(call)
    return configuration(resolve(call.region, name, qualifier), qualifier)


def listing(_: Cloud, call: Call) -> dict[str, Any]:
    """ListFunctions."""
    found: list[dict[str, Any]] = []
    for function in sorted(functions.everything(call.region), key=lambda f: f.name):
        if call.params.get("FunctionVersion") == "ALL":
            found.append(configuration(function, LATEST))
            published = functions.versions(call.region, function.name)
            found += [configuration(v, v.version) for v in published]
        else:
            found.append(configuration(function))
    return page(found, "Functions", call.params)


def update_configuration(cloud: Cloud, call: Call) -> dict[str, Any]:
    """UpdateFunctionConfiguration."""
    wish = dict(call.params)
    function = functions.latest(call.region, only_name(call))
    refuse_in_progress(function)
    check_revision(wish.get("RevisionId"), function.extras)
    if "Environment" in wish:
        wish["Environment"] = {"Variables": (wish["Environment"] or {}).get("Variables") or {}}
    checks.variables(wish)
    now: dict[str, Any] = {"SnapStart": function.extras.get("SnapStart"), **wish}
    checks.snap_start(now, wish.get("Runtime", function.runtime), function.package)
    checks.role(cloud, wish)
    functions.configure(function, wish)
    _changed(cloud, function)
    return configuration(function)


def update_code(cloud: Cloud, call: Call) -> dict[str, Any]:
    """UpdateFunctionCode."""
    wish = dict(call.params)
    function = functions.latest(call.region, only_name(call))
    refuse_in_progress(function)
    check_revision(wish.get("RevisionId"), function.extras)
    size = len(call.request.body)
    if (function.package == "Image") != bool(wish.get("ImageUri")):
        given, kind = ("ImageUri", "Zip") if wish.get("ImageUri") else ("a zip", "Image")
        raise invalid(f"Please do not provide {given} when updating a function with packageType {kind}.")
    image = checks.code(cloud, call.region, wish, request_size=size, operation="UpdateFunctionCode")
    if wish.get("DryRun"):
        return configuration(function)
    functions.replace_code(function, wish, image)
    _changed(cloud, function)
    if wish.get("Publish"):
        made = versions.publish(function)
        return configuration(made, made.version)
    return configuration(function)


def _changed(cloud: Cloud, function: Function) -> None:
    begin_updating(cloud, function)
    cloud.functions.retire(function.region, function.name)


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    """DeleteFunction: a version that no alias needs, or the function with all that hangs on it."""
    region = call.region
    name, qualifier = named(call)
    functions.latest(region, name)
    if not qualifier:
        functions.delete(region, name)
        cloud.scaling.forget(region, f"function:{name}:")
    elif qualifier == LATEST:
        raise invalid("$LATEST version cannot be deleted without deleting the function.")
    elif not qualifier.isdigit():
        raise invalid("Deletion of aliases is not currently supported.")
    else:
        users = [a.name for a in functions.aliases(region, name).values() if qualifier in versions.used_by(a)]
        if users:
            raise conflict(
                f"Unable to delete version because the following aliases reference it: [{', '.join(users)}]"
            )
        functions.delete_version(region, name, qualifier)
        concurrency.forget(cloud, region, name, qualifier)
    cloud.functions.retire(region, name)
    if not qualifier:
        cloud.functions.journal.shut(region, f"/aws/lambda/{name}")
    return {}


def list_tags(_: Cloud, call: Call) -> dict[str, Any] | None:
    """ListTags."""
    function = _tagged(call)
    return {"Tags": dict(function.raw.tags)} if function else None


def tag(_: Cloud, call: Call) -> dict[str, Any] | None:
    """TagResource."""
    function = _tagged(call)
    if function is None:
        return None
    function.raw.tags.update(call.params["Tags"])
    return {}


def untag(_: Cloud, call: Call) -> dict[str, Any] | None:
    """UntagResource."""
    function = _tagged(call)
    if function is None:
        return None
    for key in call.params["TagKeys"]:
        function.raw.tags.pop(key, None)
    return {}


def _tagged(call: Call) -> Function | None:
    """The function whose tags a call is about; None when it is something else's."""
    arn = str(call.params["Resource"])
    if ":function:" not in arn:
        return None
    name, qualifier = split(arn)
    if qualifier:
        raise invalid("Tags on function aliases and versions are not supported.")
    found = functions.find(call.region, name)
    if found is None:
        raise absent(f"Function not found: {arn}")
    return found
