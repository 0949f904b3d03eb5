"""Field masks: which fields an update changes (google.protobuf.FieldMask; AIP-134)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from clouddeploy.emulator.google.errors import invalid
from clouddeploy.emulator.google.schema import Schema, camel, fields


def paths(text: str) -> tuple[str, ...]:
    """The paths of an ``updateMask``, in the spelling of JSON."""
    return tuple(camel(path.strip()) for path in text.split(",") if path.strip())


def check(schema: Schema, message: str, mask: Iterable[str]) -> None:
    """Refuse a mask with a path that the message doesn't have.

    Raises:
        ApiError: naming the path.
    """
    for path in mask:
        kind = message
        for part in path.split("."):
            known = fields(schema[kind]) if kind in schema else {}
            if kind != "map" and part not in known and path != "*":
                text = "Invalid value at 'update_mask' (type.googleapis.com/google.protobuf.FieldMask)"
                raise invalid(f'{text}, Field "{path}" not found in {message}.', "update_mask")
            kind = "" if kind == "map" else known.get(part, "")


def merged(
    current: Mapping[str, Any], wished: Mapping[str, Any], mask: Iterable[str], keep: Iterable[str]
) -> dict[str, Any]:
    """`current` with the masked fields taken from `wished`; what is absent there is cleared.

    Args:
        mask: no path, or ``*``, means every field.
        keep: fields that the service sets itself.
    """
    chosen = tuple(mask)
    if not chosen or "*" in chosen:
        kept = {k: v for k, v in current.items() if k in keep}
        return copy.deepcopy({**{k: v for k, v in wished.items() if k not in keep}, **kept})
    found = copy.deepcopy(dict(current))
    for path in chosen:
        if path.partition(".")[0] not in keep:
            _move(found, wished, path.split("."))
    return found


def _move(target: dict[str, Any], source: Mapping[str, Any], path: list[str]) -> None:
    head, rest = path[0], path[1:]
    if rest:
        below = source.get(head)
        inner = target.setdefault(head, {})
        _move(inner, below if isinstance(below, dict) else {}, rest)
        if not inner:
            del target[head]
    elif head in source:
        target[head] = copy.deepcopy(source[head])
    else:
        target.pop(head, None)
