"""Which names a part of a template refers to."""

from __future__ import annotations

import re
from typing import Any

SUBSTITUTED = re.compile(r"\$\{([^!${}][^{}]*)\}")


def references(value: Any) -> set[str]:
    """The names in Ref, Fn::GetAtt and Fn::Sub anywhere in `value`, pseudo parameters among them."""
    if isinstance(value, list):
        return {name for item in value for name in references(item)}
    if not isinstance(value, dict):
        return set()
    found: set[str] = set()
    for key, item in value.items():
        if key == "Ref" and isinstance(item, str):
            found.add(item)
        elif key == "Fn::GetAtt":
            found.add(attribute(item)[0])
        elif key == "Fn::Sub":
            text, own = substitution(item)
            names = {name.strip().split(".")[0] for name in SUBSTITUTED.findall(text)}
            found |= (names - set(own)) | references(own)
        else:
            found |= references(item)
    return found


def attribute(value: Any) -> tuple[str, str]:
    """Logical id and attribute of an Fn::GetAtt, in either of its forms."""
    name, *rest = value.split(".", 1) if isinstance(value, str) else value
    return str(name), str(rest[0]) if rest else ""


def substitution(value: Any) -> tuple[str, dict[str, Any]]:
    """Text and own variables of an Fn::Sub, in either of its forms."""
    if isinstance(value, str):
        return value, {}
    text, own = value
    return str(text), dict(own)
