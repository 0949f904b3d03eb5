"""The shape of ``clouddeploy.toml``, read off dataclasses: their types, defaults and docstrings.

`convert` turns what a TOML or JSON parser gave into such objects, `schema_of` writes the same rules
down as JSON Schema (draft 2020-12). What a value may be is decided by the dataclasses themselves.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from clouddeploy.errors import SpecError
from clouddeploy.spec import suggest

Place = tuple[str | int, ...]
"""Where a value stands: keys and indexes from the top of the document."""

Hints = Mapping[str, Any]
"""Types by key, for a table that no single dataclass describes."""

NOUNS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}
SCALARS = {str: "string", bool: "boolean", int: "integer", float: "number"}


class ShapeError(Exception):
    """A value that doesn't fit, and where it stands."""

    def __init__(self, place: Place, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.place, self.what, self.why, self.fix = place, what, why, fix


def spell(place: Place) -> str:
    """`place` as people write it: ``autoscaling.schedules[0].cron``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def hints_of(owner: type, **names: Any) -> dict[str, Any]:
    """The types of a dataclass's fields; `names` are those its module can't resolve when run."""
    hints = get_type_hints(owner, localns=names)
    return {f.name: hints[f.name] for f in fields(owner)}


def descriptions(owner: type) -> dict[str, str]:
    """What the ``Args:`` of a class's docstring say of each field."""
    _, _, block = (owner.__doc__ or "").partition("Args:\n")
    found: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        if start := re.match(r" {8}(\w+): (.*)", line):
            name = start[1]
            found[name] = start[2]
        elif line.startswith(" " * 12) and name:
            found[name] += " " + line.strip()
        else:
            name = ""
    return {key: text.replace("``", "`") for key, text in found.items()}


def summary(owner: type) -> str:
    """The first sentence of a class's docstring."""
    return (owner.__doc__ or "").strip().partition("\n")[0]


def required(field: Field[Any]) -> bool:
    """Whether a dataclass's field has no default."""
    return field.default is MISSING and field.default_factory is MISSING


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        rest = [option for option in get_args(hint) if option is not type(None)]
        return rest[0] if len(rest) == 1 else Union[tuple(rest)]  # noqa: UP007 (made at run time)
    return hint


def _wrong(place: Place, value: object, allowed: str, fix: str = "") -> ShapeError:
    kind = NOUNS.get(type(value), type(value).__name__)
    return ShapeError(
        place,
        f"{spell(place)} is {value!r}, {kind}",
        why=f"allowed: {allowed}",
        fix=fix or f"write {allowed}",
    )


def convert(value: Any, hint: Any, place: Place = ()) -> Any:
    """Return `value` as the type `hint` wants it.

    Raises:
        ShapeError: it has another type, an unknown key, lacks one, or its class refuses it.
    """
    hint = _without_none(hint)
    origin, args = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return _convert_table(value, hint, place)  # type: ignore[arg-type]  # a class, never an instance
    if origin in (Union, types.UnionType):
        return _convert_any(value, args, place)
    if origin is Literal:
        return _convert_choice(value, args, place)
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(place, value, "a list", f"write [{_literal(value)}]")
        return tuple(convert(item, args[0], (*place, i)) for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise _wrong(place, value, "a table")
        return {key: convert(item, args[1], (*place, key)) for key, item in value.items()}
    return _convert_scalar(value, hint, place)


def _convert_scalar(value: Any, hint: Any, place: Place) -> Any:
    fits = isinstance(value, (int, float) if hint is float else hint)
    if fits and (hint is bool or not isinstance(value, bool)):
        return value
    number = isinstance(value, (int, float)) and hint is str
    fix = f"put it in quotes: {str(value).lower()!r}" if number else ""
    raise _wrong(place, value, NOUNS[hint], fix.replace("'", '"'))


def _convert_choice(value: Any, allowed: tuple[Any, ...], place: Place) -> Any:
    if value in allowed:
        return value
    near = suggest(str(value), map(str, allowed))
    choices = ", ".join(_literal(choice) for choice in allowed)
    raise ShapeError(
        place, f"{spell(place)} is {value!r}", why=f"allowed: {choices}", fix=f"choose one of them{near}"
    )


def _convert_any(value: Any, hints: tuple[Any, ...], place: Place) -> Any:
    for hint in hints:
        try:
            return convert(value, hint, place)
        except ShapeError as misfit:
            if misfit.place != place:
                raise
    raise _wrong(place, value, " or ".join(NOUNS.get(get_origin(h) or h, "a list") for h in hints))


def _convert_table(value: Any, owner: type, place: Place) -> Any:
    if not isinstance(value, dict):
        raise _wrong(place, value, "a table")
    needed = [f.name for f in fields(owner) if required(f)]
    given = convert_keys(value, hints_of(owner), place, needed=needed)
    try:
        return owner(**given)
    except SpecError as error:
        named = re.match(r"\w+\.(\w+)", error.what)
        where = (*place, named[1]) if named else place
        what = error.what.replace(f"{owner.__name__}.", f"{spell(place)}.", 1)
        raise ShapeError(where, what, why=error.why, fix=error.fix) from error


def convert_keys(
    table: Mapping[str, Any], hints: Hints, place: Place = (), *, needed: list[str] | None = None
) -> dict[str, Any]:
    """Convert each value of `table` by `hints`; a key that isn't there, or lacks, is a `ShapeError`."""
    for key in table:
        if key not in hints:
            home = spell(place) or "the top of the file"
            raise ShapeError(
                (*place, key),
                f"unknown key {spell((*place, key))!r}{suggest(key, hints)}",
                why=f"{home} takes: {', '.join(hints)}",
                fix="rename or remove it",
            )
    for key in needed or ():
        if key not in table:
            home = spell(place) or "the file"
            raise ShapeError(place, f"{home} lacks the key {key!r}", fix=f"add a line: {key} = …")
    return {key: convert(value, hints[key], (*place, key)) for key, value in table.items()}


def _literal(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def schema_of(hint: Any) -> dict[str, Any]:
    """The JSON Schema of what `convert` accepts for `hint`."""
    hint = _without_none(hint)
    origin, args = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        needed = [f.name for f in fields(hint) if required(f)]
        return table_schema(hints_of(hint), descriptions(hint), needed=needed)  # type: ignore[arg-type]
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(option) for option in args]}
    if origin is Literal:
        return {"enum": list(args)}
    if origin is tuple:
        return {"type": "array", "items": schema_of(args[0])}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": schema_of(args[1])}
    return {"type": SCALARS[hint]}


def table_schema(hints: Hints, texts: Mapping[str, str], *, needed: list[str]) -> dict[str, Any]:
    """The JSON Schema of a table with the keys of `hints` and no others."""
    properties = {
        key: {"description": texts[key], **schema_of(hint)} if key in texts else schema_of(hint)
        for key, hint in hints.items()
    }
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": needed} if needed else schema
