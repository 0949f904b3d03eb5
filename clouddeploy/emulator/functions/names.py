"""How calls name a function: by name, ARN or part of one, each with a qualifier or without."""

from __future__ import annotations

import re
from typing import Any

from clouddeploy.emulator.backends import functions
from clouddeploy.emulator.backends.functions import LATEST
from clouddeploy.emulator.call import Call, Refused

NAME = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:[a-z]{2}(?:-gov)?-[a-z]+-\d:)?(?:\d{12}:)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9_-]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]+))?"
)


def split(text: str, qualifier: str = "") -> tuple[str, str]:
    """Name and qualifier of what a call's ``FunctionName`` and ``Qualifier`` say; the latter may be empty.

    Raises:
        Refused: it is no name, or the two name different things.
    """
    match = NAME.fullmatch(text)
    if match is None:
        raise Refused(
            f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?…"
        )
    inside = match["qualifier"] or ""
    if inside and qualifier and inside != qualifier:
        raise invalid("The derived qualifier from the function name does not match the specified qualifier.")
    return match["name"], inside or qualifier


def named(call: Call) -> tuple[str, str]:
    """The function and the qualifier that a call is about."""
    return split(str(call.params["FunctionName"]), str(call.params.get("Qualifier") or ""))


def only_name(call: Call) -> str:
    """The function that a call is about, where a version can't be meant.

    Raises:
        Refused: a qualifier is given.
    """
    name, qualifier = named(call)
    if qualifier and qualifier != LATEST:
        raise invalid(f"Operation doesn't support the qualifier {qualifier} here: use the function's name")
    return name


def invalid(message: str) -> Refused:
    """What Lambda answers to a value that it can't take."""
    return Refused(message, code="InvalidParameterValueException", extra={"Type": "User"})


def conflict(message: str) -> Refused:
    """What Lambda answers when something is in the way."""
    return Refused(message, code="ResourceConflictException", status=409, extra={"Type": "User"})


def absent(message: str) -> Refused:
    """What Lambda answers when something isn't there."""
    return Refused(message, code="ResourceNotFoundException", status=404, extra={"Type": "User"})


def check_revision(given: Any, extras: dict[str, Any]) -> None:
    """Refuse a change that was made for another revision.

    Raises:
        Refused: PreconditionFailedException.
    """
    if given and given != extras.get("RevisionId"):
        raise Refused(
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias "
            "API to retrieve the latest Revision Id",
            code="PreconditionFailedException",
            status=412,
        )


def resolve(region: str, name: str, qualifier: str) -> functions.Function:
    """The version that a name and a qualifier stand for; an alias's main one.

    Raises:
        Refused: there is none.
    """
    if not qualifier or qualifier == LATEST or qualifier.isdigit():
        return functions.version(region, name, qualifier)
    alias = functions.aliases(region, name).get(qualifier)
    if alias is None:
        raise functions.missing(region, name, qualifier)
    return functions.version(region, name, str(alias.function_version))
