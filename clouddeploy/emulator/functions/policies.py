"""Who may invoke a function: its resource policy (AddPermission, GetPolicy, RemovePermission)."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends import functions
from clouddeploy.emulator.backends.functions import LATEST
from clouddeploy.emulator.call import Call
from clouddeploy.emulator.functions.names import absent, check_revision, conflict, invalid, named, resolve

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

CONDITIONS = {
    "SourceArn": ("ArnLike", "AWS:SourceArn"),
    "SourceAccount": ("StringEquals", "AWS:SourceAccount"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "InvokedViaFunctionUrl": ("Bool", "lambda:InvokedViaFunctionUrl"),
}
NONE = "The resource you requested does not exist."


def statements(region: str, name: str, qualifier: str = "") -> list[dict[str, Any]]:
    """The statements about the function itself, or about one version or alias of it."""
    arn = functions.arn_of(region, name, qualifier)
    return [s for s in functions.latest(region, name).statements if s.get("Resource") == arn]


def _revisions(region: str, name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = functions.shared(region, name).setdefault("policies", {})
    return found


def add(_: Cloud, call: Call) -> dict[str, Any]:
    """AddPermission."""
    wish, (name, qualifier) = call.params, named(call)
    resolve(call.region, name, qualifier)
    if qualifier == LATEST:
        raise invalid("We currently do not support adding policies for $LATEST.")
    revision = _revisions(call.region, name).setdefault(qualifier, {})
    check_revision(wish.get("RevisionId"), revision)
    sid = wish["StatementId"]
    if any(s.get("Sid") == sid for s in statements(call.region, name, qualifier)):
        raise conflict(
            f"The statement id ({sid}) provided already exists. Please provide a new statement id, or "
            "remove the existing statement."
        )
    statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": _principal(str(wish["Principal"])),
        "Action": wish["Action"],
        "Resource": functions.arn_of(call.region, name, qualifier),
    }
    conditions: dict[str, dict[str, str]] = {}
    for member, (operator, key) in CONDITIONS.items():
        if wish.get(member) is not None:
            value = wish[member]
            conditions.setdefault(operator, {})[key] = str(value).lower() if value is True else value
    if conditions:
        statement["Condition"] = conditions
    functions.latest(call.region, name).statements.append(statement)
    revision["RevisionId"] = str(uuid.uuid4())
    return {"Statement": json.dumps(statement)}


def _principal(text: str) -> Any:
    if text == "*":
        return text
    if text.endswith(".amazonaws.com"):
        return {"Service": text}
    return {"AWS": f"arn:aws:iam::{text}:root" if text.isdigit() else text}


def get(_: Cloud, call: Call) -> dict[str, Any]:
    """GetPolicy."""
    name, qualifier = named(call)
    resolve(call.region, name, qualifier)
    found = statements(call.region, name, qualifier)
    if not found:
        raise absent(NONE)
    policy = {"Version": "2012-10-17", "Id": "default", "Statement": found}
    revision = _revisions(call.region, name).get(qualifier, {}).get("RevisionId", "")
    return {"Policy": json.dumps(policy), "RevisionId": revision}


def remove(_: Cloud, call: Call) -> dict[str, Any]:
    """RemovePermission."""
    wish, (name, qualifier) = call.params, named(call)
    resolve(call.region, name, qualifier)
    revision = _revisions(call.region, name).setdefault(qualifier, {})
    check_revision(wish.get("RevisionId"), revision)
    for statement in statements(call.region, name, qualifier):
        if statement.get("Sid") == wish["StatementId"]:
            functions.latest(call.region, name).statements.remove(statement)
            revision["RevisionId"] = str(uuid.uuid4())
            return {}
    raise absent(f"Statement {wish['StatementId']} is not found in resource policy.")


def public(region: str, name: str, qualifier: str) -> bool:
    """Whether everybody may call the function's URL without signing.

    "Control access to Lambda function URLs" (Lambda Developer Guide): since October 2025 that takes two
    permissions, ``lambda:InvokeFunctionUrl`` and ``lambda:InvokeFunction``.
    """
    granted = set()
    for statement in statements(region, name, qualifier):
        if statement.get("Effect") == "Allow" and statement.get("Principal") in ("*", {"AWS": "*"}):
            conditions = statement.get("Condition", {})
            auth = conditions.get("StringEquals", {}).get("lambda:FunctionUrlAuthType", "NONE")
            if auth == "NONE":
                granted.add(statement.get("Action"))
    return {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"} <= granted or "lambda:*" in granted
