"""Which operation of a REST service a request is, by the service's own model.

Services of the ``rest-json`` protocol name the operation by method and path. botocore ships the table,
and where each parameter lies: in the path, the query, a header or the body.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from clouddeploy.emulator.constraints import model
from clouddeploy.emulator.http.message import Request


@dataclass(frozen=True)
class _Row:
    method: str
    path: re.Pattern[str]
    query: frozenset[str]
    names: tuple[str, ...]
    operation: str


@functools.lru_cache(maxsize=8)
def _table(service: str) -> tuple[_Row, ...]:
    """All operations of a service, those that ask most of a request first."""
    rows = []
    found = model(service)
    for name in found.operation_names:
        http = found.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        names = tuple(re.findall(r"\{(\w+)\+?\}", path))
        pattern = re.sub(r"\\\{\w+\\\+\\\}", "(.+)", re.escape(path.rstrip("/")))
        pattern = re.sub(r"\\\{\w+\\\}", "([^/]+)", pattern)
        marks = frozenset(query.split("&")) if query else frozenset()
        rows.append(_Row(http["method"], re.compile(pattern + "/?"), marks, names, name))
    return tuple(sorted(rows, key=lambda row: (-len(row.query), len(row.names))))


def operation(service: str, request: Request) -> str:
    """The operation's name, or the method when the service has none such."""
    row = _row(service, request)
    return row.operation if row else request.method


def _row(service: str, request: Request) -> _Row | None:
    given = set(request.query.split("&"))
    for row in _table(service):
        if row.method == request.method and row.query <= given and row.path.fullmatch(request.raw_path):
            return row
    return None


def params(service: str, request: Request) -> dict[str, Any]:
    """The operation's parameters, by their names in the model.

    Raises:
        ValueError: the body is no JSON object.
    """
    row = _row(service, request)
    if row is None:
        return {}
    shape = model(service).operation_model(row.operation).input_shape
    match = row.path.fullmatch(request.raw_path)
    assert match is not None
    path = dict(zip(row.names, (unquote(part) for part in match.groups()), strict=True))
    query = parse_qs(request.query, keep_blank_values=True)
    found: dict[str, Any] = {}
    payload = shape.serialization.get("payload") if shape is not None else None
    if payload is None and request.body:
        body = json.loads(request.body)
        if not isinstance(body, dict):
            raise ValueError("the body is no JSON object")
        found.update(body)
    for name, member in shape.members.items() if shape is not None else ():
        place = member.serialization.get("location")
        wire = member.serialization.get("name", name)
        value: Any = None
        if place == "uri":
            value = path.get(wire)
        elif place == "querystring":
            given = query.get(wire)
            value = given if member.type_name == "list" else given[0] if given else None
        elif place == "header":
            value = request.headers.get(wire.lower())
        elif payload is None and wire != name and wire in found:
            found[name] = found.pop(wire)
        if value is not None:
            found[name] = _typed(member.type_name, value)
    return found


def _typed(kind: str, value: Any) -> Any:
    if kind in ("integer", "long"):
        return int(value)
    if kind == "boolean":
        return value == "true"
    return value
