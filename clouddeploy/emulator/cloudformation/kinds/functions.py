"""AWS::Lambda::*"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.cloudformation.kinds.kind import Failed, Kind, Site, changed, pairs
from clouddeploy.emulator.cloudformation.records import Part

ROLE_TRIES, ROLE_PAUSE_S = 25, 0.2
CODE = ("Code", "Architectures")
SEPARATE = frozenset({"Code", "Tags", "ReservedConcurrentExecutions", "SnapStart"})


class Function(Kind):
    """``AWS::Lambda::Function``: Ref is the name; attribute ``Arn``."""

    known = frozenset({
        "Architectures", "Code", "DeadLetterConfig", "Description", "Environment", "EphemeralStorage",
        "FunctionName", "Handler", "ImageConfig", "KmsKeyArn", "Layers", "LoggingConfig", "MemorySize",
        "PackageType", "ReservedConcurrentExecutions", "Role", "Runtime", "SnapStart", "Tags", "Timeout",
        "TracingConfig", "VpcConfig",
    })  # fmt: skip
    replaced_by = ("FunctionName", "PackageType")

    def create(self, site: Site, part: Part) -> None:
        """CreateFunction, PutFunctionConcurrency."""
        name = str(part.properties.get("FunctionName") or site.name(part, longest=64))
        wish = {k: v for k, v in part.properties.items() if k not in ("Code", "Tags")}
        wish |= {"FunctionName": name, "Code": _code(part)}
        if tags := pairs(part.properties.get("Tags")):
            wish["Tags"] = tags
        answer = _created(site, site.fitting("lambda", "CreateFunction", wish))
        part.physical_id = name
        part.attributes = {"Arn": answer["FunctionArn"]}
        _settled(site, name)
        self._reserve(site, part)

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """UpdateFunctionCode, UpdateFunctionConfiguration, tags, reserved concurrency: what differs."""
        name = part.physical_id
        if changed(part, before, *CODE):
            architectures = {k: part.properties[k] for k in ("Architectures",) if k in part.properties}
            site.call("lambda", "UpdateFunctionCode", FunctionName=name, **_code(part), **architectures)
            _settled(site, name)
        rest = (set(part.properties) | set(before)) - SEPARATE - set(CODE)
        if changed(part, before, *rest, "SnapStart"):
            operation = "UpdateFunctionConfiguration"
            wish = {**_left_out(part, before), **part.properties, "FunctionName": name}
            site.call("lambda", operation, **site.fitting("lambda", operation, wish))
            _settled(site, name)
        if changed(part, before, "ReservedConcurrentExecutions"):
            self._reserve(site, part)
        if changed(part, before, "Tags"):
            _retag(site, part, before)

    def delete(self, site: Site, part: Part) -> None:
        """DeleteFunction, with all its versions and aliases."""
        site.drop("lambda", "DeleteFunction", FunctionName=part.physical_id)

    def _reserve(self, site: Site, part: Part) -> None:
        reserved = part.properties.get("ReservedConcurrentExecutions")
        if reserved is not None:
            site.call(
                "lambda", "PutFunctionConcurrency",
                FunctionName=part.physical_id, ReservedConcurrentExecutions=int(reserved),
            )  # fmt: skip
        elif part.status.startswith("UPDATE"):
            site.drop("lambda", "DeleteFunctionConcurrency", FunctionName=part.physical_id)


class Version(Kind):
    """``AWS::Lambda::Version``: Ref is the qualified ARN; attributes ``Version`` and ``FunctionArn``.

    It publishes what the function is; publishing the same again is an error, as on AWS.
    """

    known = ("CodeSha256", "Description", "FunctionName", "ProvisionedConcurrencyConfig")
    replaced_by = known

    def create(self, site: Site, part: Part) -> None:
        """PublishVersion."""
        name = str(part.properties["FunctionName"])
        listing = site.call("lambda", "ListVersionsByFunction", FunctionName=name)["Versions"]
        known = {v["Version"] for v in listing}
        wish = site.fitting("lambda", "PublishVersion", part.properties)
        answer = site.call("lambda", "PublishVersion", **wish)
        version = answer["Version"]
        if version in known:
            raise Failed(
                f"A version for this Lambda function exists ( {version} ). "
                "Modify the function to create a new version."
            )
        part.physical_id = answer["FunctionArn"]
        part.attributes = {"Version": version, "FunctionArn": answer["FunctionArn"]}
        _provision(site, part, name, version)

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """Nothing of it can change."""

    def delete(self, site: Site, part: Part) -> None:
        """DeleteFunction of the one version."""
        name, version = part.physical_id.rpartition(":")[::2]
        site.drop("lambda", "DeleteFunction", FunctionName=name.rpartition(":")[2], Qualifier=version)


class Alias(Kind):
    """``AWS::Lambda::Alias``: Ref and ``AliasArn`` are its ARN."""

    known = (
        "Description", "FunctionName", "FunctionVersion", "Name", "ProvisionedConcurrencyConfig",
        "RoutingConfig",
    )  # fmt: skip
    replaced_by = ("FunctionName", "Name")

    def create(self, site: Site, part: Part) -> None:
        """CreateAlias, PutProvisionedConcurrencyConfig."""
        answer = site.call("lambda", "CreateAlias", **self._wish(site, part, "CreateAlias"))
        part.physical_id = answer["AliasArn"]
        part.attributes = {"AliasArn": answer["AliasArn"]}
        _provision(site, part, str(part.properties["FunctionName"]), str(part.properties["Name"]))

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """UpdateAlias, provisioned concurrency."""
        site.call("lambda", "UpdateAlias", **self._wish(site, part, "UpdateAlias"))
        name, alias = str(part.properties["FunctionName"]), str(part.properties["Name"])
        if "ProvisionedConcurrencyConfig" in part.properties:
            _provision(site, part, name, alias)
        elif "ProvisionedConcurrencyConfig" in before:
            where = {"FunctionName": name, "Qualifier": alias}
            site.drop("lambda", "DeleteProvisionedConcurrencyConfig", **where)

    def delete(self, site: Site, part: Part) -> None:
        """DeleteAlias, with its provisioned concurrency."""
        name, alias = part.properties["FunctionName"], part.properties["Name"]
        if "ProvisionedConcurrencyConfig" in part.properties:
            where = {"FunctionName": name, "Qualifier": alias}
            site.drop("lambda", "DeleteProvisionedConcurrencyConfig", **where)
        site.drop("lambda", "DeleteAlias", FunctionName=name, Name=alias)

    def _wish(self, site: Site, part: Part, operation: str) -> dict[str, Any]:
        weights = (part.properties.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or ()
        routing = {str(w["FunctionVersion"]): float(w["FunctionWeight"]) for w in weights}
        wish = {**part.properties, "RoutingConfig": {"AdditionalVersionWeights": routing}}
        return site.fitting("lambda", operation, wish)


class Permission(Kind):
    """``AWS::Lambda::Permission``: every change replaces it."""

    known = (
        "Action", "EventSourceToken", "FunctionName", "FunctionUrlAuthType", "InvokedViaFunctionUrl",
        "Principal", "PrincipalOrgID", "SourceAccount", "SourceArn",
    )  # fmt: skip
    replaced_by = known

    def create(self, site: Site, part: Part) -> None:
        """AddPermission."""
        statement = site.name(part, longest=100)
        wish = {**part.properties, **_target(part), "StatementId": statement}
        site.call("lambda", "AddPermission", **site.fitting("lambda", "AddPermission", wish))
        part.physical_id = statement
        part.attributes = {"Id": statement}

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """Nothing of it can change."""

    def delete(self, site: Site, part: Part) -> None:
        """RemovePermission."""
        site.drop("lambda", "RemovePermission", StatementId=part.physical_id, **_target(part))


class Url(Kind):
    """``AWS::Lambda::Url``: attributes ``FunctionUrl`` and ``FunctionArn``; Ref is the latter."""

    known = ("AuthType", "Cors", "InvokeMode", "Qualifier", "TargetFunctionArn")
    replaced_by = ("Qualifier", "TargetFunctionArn")

    def create(self, site: Site, part: Part) -> None:
        """CreateFunctionUrlConfig."""
        answer = site.call("lambda", "CreateFunctionUrlConfig", **self._wish(site, part))
        part.physical_id = answer["FunctionArn"]
        part.attributes = {k: answer[k] for k in ("FunctionUrl", "FunctionArn")}

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """UpdateFunctionUrlConfig."""
        site.call("lambda", "UpdateFunctionUrlConfig", **self._wish(site, part))

    def delete(self, site: Site, part: Part) -> None:
        """DeleteFunctionUrlConfig."""
        site.drop("lambda", "DeleteFunctionUrlConfig", **_target(part))

    def _wish(self, site: Site, part: Part) -> dict[str, Any]:
        wish = {**part.properties, **_target(part)}
        return site.fitting("lambda", "CreateFunctionUrlConfig", wish)


def _target(part: Part) -> dict[str, str]:
    """The function that a property names, by name or ARN, with its qualifier apart."""
    where = str(part.properties.get("FunctionName") or part.properties["TargetFunctionArn"])
    pieces = where.split(":")
    pieces = pieces[6:] if pieces[0] == "arn" else pieces
    qualifier = pieces[1] if len(pieces) > 1 else part.properties.get("Qualifier")
    return {"FunctionName": pieces[0], **({"Qualifier": str(qualifier)} if qualifier else {})}


def _code(part: Part) -> dict[str, Any]:
    """The code's place; source that stands in the template becomes ``index.py``."""
    code = dict(part.properties.get("Code") or {})
    if isinstance(code.get("ZipFile"), str):
        ending = "py" if str(part.properties.get("Runtime", "")).startswith("python") else "js"
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w") as archive:
            archive.writestr(f"index.{ending}", code["ZipFile"])
        code["ZipFile"] = raw.getvalue()
    return code


def _created(site: Site, wish: Mapping[str, Any]) -> dict[str, Any]:
    """CreateFunction, again and again while a role that was just made can't be assumed yet."""
    from botocore.exceptions import ClientError

    for _ in range(ROLE_TRIES):
        try:
            return site.call("lambda", "CreateFunction", **wish)
        except ClientError as error:
            if "cannot be assumed by Lambda" not in str(error):
                raise
        time.sleep(ROLE_PAUSE_S)
    return site.call("lambda", "CreateFunction", **wish)


def _settled(site: Site, name: str) -> None:
    def going_on() -> str:
        found = site.call("lambda", "GetFunctionConfiguration", FunctionName=name)
        if "Failed" in (found.get("State"), found.get("LastUpdateStatus")):
            raise Failed(str(found.get("StateReason") or found.get("LastUpdateStatusReason")))
        pending = found.get("State") == "Pending" or found.get("LastUpdateStatus") == "InProgress"
        return f"the function is {found.get('State')}" if pending else ""

    site.settled(going_on)


def _provision(site: Site, part: Part, name: str, qualifier: str) -> None:
    wish = part.properties.get("ProvisionedConcurrencyConfig")
    if wish is None:
        return
    count = int(wish["ProvisionedConcurrentExecutions"])
    where = {"FunctionName": name, "Qualifier": qualifier}
    site.call("lambda", "PutProvisionedConcurrencyConfig", ProvisionedConcurrentExecutions=count, **where)

    def going_on() -> str:
        found = site.call("lambda", "GetProvisionedConcurrencyConfig", **where)
        if found["Status"] == "FAILED":
            raise Failed(str(found.get("StatusReason")))
        return "" if found["Status"] == "READY" else "provisioned concurrency is being allocated"

    site.settled(going_on)


EMPTY: Mapping[str, Any] = {
    "DeadLetterConfig": {"TargetArn": ""},
    "Description": "",
    "Environment": {"Variables": {}},
    "EphemeralStorage": {"Size": 512},
    "KmsKeyArn": "",
    "Layers": [],
    "MemorySize": 128,
    "SnapStart": {"ApplyOn": "None"},
    "Timeout": 3,
    "TracingConfig": {"Mode": "PassThrough"},
    "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
}


def _left_out(part: Part, before: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of properties that are there no longer: an update keeps what it isn't told."""
    return {k: EMPTY[k] for k in before if k not in part.properties and k in EMPTY}


def _retag(site: Site, part: Part, before: Mapping[str, Any]) -> None:
    now, then = pairs(part.properties.get("Tags")), pairs(before.get("Tags"))
    arn = part.attributes["Arn"]
    if gone := sorted(set(then) - set(now)):
        site.call("lambda", "UntagResource", Resource=arn, TagKeys=gone)
    if now:
        site.call("lambda", "TagResource", Resource=arn, Tags=now)
