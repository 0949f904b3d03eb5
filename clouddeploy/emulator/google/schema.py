"""Messages of an API as JSON: what fields they have, and how a request's body is read.

A message is a line of ``field`` or ``field:type`` words. Types: none is a string, ``int``, ``int64``
(a string on the wire), ``bool``, ``number``, ``map`` (string to string), ``any`` (not looked into),
``=A|B|C`` an enumeration in the order of its numbers, or the name of another line; ``[]`` repeats. A line
that begins with ``=`` is an enumeration.
What is unknown is refused as the services' JSON front does (google.protobuf.util.JsonFormat).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.google.errors import invalid

Schema = Mapping[str, str]
KINDS = {"": "TYPE_STRING", "int": "TYPE_INT32", "int64": "TYPE_INT64", "bool": "TYPE_BOOL"}


@functools.lru_cache(maxsize=256)
def fields(line: str) -> Mapping[str, str]:
    """Names and types of a message's fields."""
    pairs = (word.partition(":") for word in line.split())
    return {name: kind for name, _, kind in pairs}


def camel(name: str) -> str:
    """``service_config`` as ``serviceConfig``."""
    return re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), name)


def snake(name: str) -> str:
    """``serviceConfig`` as ``service_config``."""
    return re.sub(r"([A-Z])", lambda m: f"_{m[1].lower()}", name)


def read(schema: Schema, message: str, value: Any, path: str = "") -> dict[str, Any]:
    """A request's message with the API's own spelling and types; nulls are dropped.

    Args:
        schema: the API's messages.
        message: which of them `value` is.
        value: as parsed from JSON.
        path: where it lies, in the spelling of the service's errors.

    Raises:
        ApiError: an unknown field, or a value of the wrong type.
    """
    if not isinstance(value, dict):
        raise invalid(f"Invalid value at '{path}' (type.googleapis.com/{message}), {_show(value)}", path)
    known = fields(schema[message])
    found: dict[str, Any] = {}
    for name, item in value.items():
        field = name if name in known else camel(name)
        if field not in known:
            where = f" at '{path}'" if path else ""
            text = f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
            raise invalid(text, path or name)
        if item is not None:
            below = f"{path}.{snake(field)}" if path else snake(field)
            found[field] = _value(schema, known[field], item, below)
    return found


def _value(schema: Schema, kind: str, value: Any, path: str) -> Any:
    if kind.endswith("[]"):
        if not isinstance(value, list):
            raise _wrong(path, kind[:-2], value)
        return [_value(schema, kind[:-2], item, f"{path}[{i}]") for i, item in enumerate(value)]
    if kind.startswith("="):
        return _enum(kind[1:].split("|"), value, path)
    if kind in schema and schema[kind].startswith("="):
        return _enum(schema[kind][1:].split(), value, path)
    if kind in schema:
        return read(schema, kind, value, path)
    if kind == "map":
        if not isinstance(value, dict):
            raise _wrong(path, kind, value)
        return {str(k): _value(schema, "", v, f"{path}[{k}]") for k, v in value.items()}
    return value if kind == "any" else _scalar(kind, value, path)


def _scalar(kind: str, value: Any, path: str) -> Any:
    if kind in ("int", "int64"):
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"-?\d+(\.0+)?", text):
            raise _wrong(path, kind, value)
        return text.partition(".")[0] if kind == "int64" else int(float(text))
    good: Any = {"": str, "bool": bool, "number": (int, float)}[kind]
    if not isinstance(value, good):
        raise _wrong(path, kind, value)
    return value


def _enum(names: list[str], value: Any, path: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return names[value]
    if value not in names:
        raise _wrong(path, "enum", value)
    return str(value)


def _wrong(path: str, kind: str, value: Any) -> Exception:
    return invalid(f"Invalid value at '{path}' ({KINDS.get(kind, kind)}), {_show(value)}", path)


def _show(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
