"""Values that a JSON Schema allows, and such values with a fault in them, for the schemas that we write."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
SCALARS = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.text(max_size=4)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    SCALARS | FLOATS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def allowed(schema: Schema) -> st.SearchStrategy[Any]:
    """What `schema` allows."""
    if "oneOf" in schema:
        return st.one_of([allowed(one) for one in schema["oneOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema.get("type")
    if kinds is None:
        return ANYTHING
    if isinstance(kinds, list):
        return st.one_of([allowed({**schema, "type": kind}) for kind in kinds])
    return _of_type(kinds, schema)


def _of_type(kind: str, schema: Schema) -> st.SearchStrategy[Any]:
    if kind == "object":
        return _objects(schema)
    if kind == "array":
        return _lists(schema)
    if kind == "integer":
        return st.integers(schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1))
    if kind == "number":
        low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        limits = {} if low is None else {"exclude_min": True, "exclude_max": True}
        floats: Any = st.floats
        some: st.SearchStrategy[Any] = floats(low, high, allow_nan=False, allow_infinity=False, **limits)
        return some | st.integers(-9, 9)
    if kind == "string":
        # Not the halves of surrogate pairs, which UTF-8 has not.
        return st.text(
            st.characters(exclude_categories=["Cs"]), min_size=schema.get("minLength", 0), max_size=8
        )
    return st.none() if kind == "null" else st.booleans()


def _objects(schema: Schema) -> st.SearchStrategy[Any]:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return st.fixed_dictionaries(
        {name: allowed(properties[name]) for name in required},
        optional={name: allowed(one) for name, one in properties.items() if name not in required},
    )


def _lists(schema: Schema) -> st.SearchStrategy[Any]:
    low, high = schema.get("minItems", 0), schema.get("maxItems")
    first = schema.get("prefixItems")
    if first is not None:
        return st.tuples(*(allowed(one) for one in first)).map(list)
    return st.lists(
        allowed(schema.get("items", {})), min_size=low, max_size=low + 3 if high is None else high
    )


@st.composite
def damaged(draw: st.DrawFn, schema: Schema) -> Any:
    """What `schema` allows, with a part replaced, left out, doubled or added."""
    value = copy.deepcopy(draw(allowed(schema)))
    holder: dict[str, Any] = {"": value}
    owner: Any = holder
    key: Any = ""
    while isinstance(owner[key], dict | list) and owner[key] and draw(st.integers(0, 4)):
        owner = owner[key]
        key = draw(
            st.sampled_from(sorted(owner)) if isinstance(owner, dict) else st.integers(0, len(owner) - 1)
        )
    how = draw(st.sampled_from(["replace", "replace", "drop", "add", "nest"]))
    if how == "drop" and owner is not holder:
        del owner[key]
    elif how == "add" and isinstance(owner, list):
        owner.insert(key, copy.deepcopy(owner[key]))
    elif how == "add" and owner is not holder:
        owner[draw(st.text(max_size=4))] = draw(ANYTHING)
    elif how == "nest":
        owner[key] = [owner[key]]
    else:
        owner[key] = draw(ANYTHING)
    return holder[""]
