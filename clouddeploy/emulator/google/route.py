"""One method of an API: by which verb and path it is called, and what it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google import policies, policy_calls
from clouddeploy.emulator.google.call import Call
from clouddeploy.emulator.google.schema import Schema

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

Handler = Callable[["Google", Call], dict[str, Any]]
PAGED = ("pageSize", "pageToken", "filter", "orderBy", "returnPartialSuccess")
LINE = re.compile(r"(\w+)\.(\w+) ([A-Z]+) (/\w+/)(?:\{(.+)\})?(.*)")


@dataclass(frozen=True)
class Route:
    """One method.

    Args:
        verb: of HTTP.
        path: pattern; its group is the resource.
        service: as in `Call`.
        method: likewise.
        handler: answers it.
        schema: of the body's message; None: the body isn't looked into.
        message: the body's message in `schema`.
        query: parameters that it takes.
        at: where the body lies in the spelling of errors.
    """

    verb: str
    path: re.Pattern[str]
    service: str
    method: str
    handler: Handler
    schema: Schema | None = None
    message: str = ""
    query: tuple[str, ...] = ()
    at: str = ""


def route(
    line: str, handler: Handler, *query: str, schema: Schema | None = None, message: str = "", at: str = ""
) -> Route:
    """A route by ``service.Method VERB /version/{resource}rest``; ``*`` and ``!`` are one part each.

    A part that is ``!`` may hold a colon, as digests do.
    """
    match = LINE.fullmatch(line)
    assert match is not None, line
    service, method, verb, start, resource, rest = match.groups()
    name = (resource or "").replace("*", "[^/:]+").replace("!", "[^/]+")
    pattern = re.compile(f"{re.escape(start)}({name}){re.escape(rest)}")
    return Route(verb, pattern, service, method, handler, schema, message, query, at)


def policy_routes(service: str, base: str, *, read: str = "GET") -> tuple[Route, ...]:
    """The three methods of a resource's policy; `read` is the verb of ``getIamPolicy``."""
    version = "options.requestedPolicyVersion"
    return (
        route(f"{service}.GetIamPolicy {read} {base}:getIamPolicy", policy_calls.get, version),
        route(
            f"{service}.SetIamPolicy POST {base}:setIamPolicy",
            policy_calls.put,
            schema=policies.MESSAGES,
            message="SetIamPolicyRequest",
        ),
        route(f"{service}.TestIamPermissions POST {base}:testIamPermissions", policy_calls.test),
    )
