"""The constraints that a service's own model states, checked as the service does.

botocore checks types and required members on the client, and leaves patterns, lengths, ranges and
enumerations to the service. They are in the model that it ships (the API references' "Pattern",
"Length Constraints" and "Valid Values"), so the embedded cloud refuses what AWS refuses.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from clouddeploy.emulator.call import Refused

ENUM_SHOWN = 400


@functools.lru_cache(maxsize=8)
def model(service: str) -> Any:
    """A service's model, as botocore ships it."""
    import botocore.session

    return botocore.session.get_session().get_service_model(service)


def instance_types() -> tuple[str, ...]:
    """The instance types that an endpoint may have, by botocore's model."""
    return tuple(model("sagemaker").shape_for("ProductionVariantInstanceType").enum)


def check(service: str, operation: str, params: dict[str, Any]) -> None:
    """Refuse `params` when one of them breaks a constraint of the operation's input.

    Raises:
        Refused: all that is wrong, in the service's own words.
    """
    known = model(service)
    if operation not in known.operation_names:
        return
    shape = known.operation_model(operation).input_shape
    wrong = list(_broken(shape, params, "")) if shape is not None else []
    if wrong:
        noun = "1 validation error" if len(wrong) == 1 else f"{len(wrong)} validation errors"
        raise Refused(f"{noun} detected: {'; '.join(wrong)}")


def _broken(shape: Any, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        for name in shape.required_members:
            if value.get(name) is None:
                where = f"{path}.{_low(name)}" if path else _low(name)
                yield f"Value null at '{where}' failed to satisfy constraint: Member must not be null"
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _broken(member, value[name], f"{path}.{_low(name)}" if path else _low(name))
    elif shape.type_name == "list" and isinstance(value, list):
        yield from _size(shape, len(value), value, path)
        for index, item in enumerate(value, 1):
            yield from _broken(shape.member, item, f"{path}.{index}.member")
    elif shape.type_name == "map" and isinstance(value, dict):
        yield from _size(shape, len(value), value, path)
        for key, item in value.items():
            yield from _broken(shape.key, key, f"{path}.key")
            yield from _broken(shape.value, item, f"{path}.{key}.member")
    elif shape.type_name == "string" and isinstance(value, str):
        yield from _text(shape, value, path)
    elif shape.type_name in ("integer", "long", "float", "double") and isinstance(value, (int, float)):
        yield from _range(shape, value, path)


def _low(name: str) -> str:
    return name[:1].lower() + name[1:]


def _text(shape: Any, value: str, path: str) -> Iterator[str]:
    start = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must"
    if shape.enum and value not in shape.enum:
        known = ", ".join(shape.enum)
        shown = known if len(known) < ENUM_SHOWN else f"{known[:ENUM_SHOWN]} ..."
        yield f"{start} satisfy enum value set: [{shown}]"
    yield from _size(shape, len(value), value, path)
    pattern = shape.metadata.get("pattern")
    if pattern and not _matches(pattern, value):
        yield f"{start} satisfy regular expression pattern: {pattern}"


@functools.lru_cache(maxsize=1024)
def _matches(pattern: str, value: str) -> bool:
    try:
        return re.compile(pattern).fullmatch(value) is not None
    except re.error:  # a pattern in Java's dialect: nothing can be said
        return True


def _size(shape: Any, size: int, value: object, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    start = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have length"
    if high is not None and size > high:
        yield f"{start} less than or equal to {high}"
    if low is not None and size < low:
        yield f"{start} greater than or equal to {low}"


def _range(shape: Any, value: float, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    start = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must have value"
    if high is not None and value > high:
        yield f"{start} less than or equal to {high}"
    if low is not None and value < low:
        yield f"{start} greater than or equal to {low}"
