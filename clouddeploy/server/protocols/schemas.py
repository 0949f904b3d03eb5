"""A model's signature as JSON Schema, and examples of it that the model takes."""

from __future__ import annotations

import math
from typing import Any

from clouddeploy.runtime.signature import Signature, Tensor

Schema = dict[str, Any]
MOST_VALUES = 16_384
"""Numbers of an example at the most; a longer one is left out."""
BEYOND = 3.4028235677973366e38
"""From here on numbers are rounded to infinity as float32."""
TYPES: dict[str, Schema] = {
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "float16": {"type": "number", "exclusiveMinimum": -65520, "exclusiveMaximum": 65520},
    "float32": {
        "type": "number",
        "format": "float",
        "exclusiveMinimum": -BEYOND,
        "exclusiveMaximum": BEYOND,
    },
    "float64": {"type": "number", "format": "double"},
    **{
        f"int{bits}": {"type": "integer", "minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1}
        for bits in (8, 16, 32, 64)
    },
    **{f"uint{bits}": {"type": "integer", "minimum": 0, "maximum": 2**bits - 1} for bits in (8, 16, 32, 64)},
}
ANY: Schema = {"description": "the model's signature isn't known"}


def value_schema(tensor: Tensor, *, taken: bool = False) -> Schema:
    """The schema of one example of `tensor`.

    Args:
        tensor: its dtype and shape.
        taken: it is an input. Of a list of no lists nobody could tell how many dimensions it has.
    """
    schema = TYPES[tensor.dtype]
    for size in reversed(tensor.shape[1:]):
        bounds = {"minItems": size, "maxItems": size}
        if size is None:
            bounds = {"minItems": 1} if taken and schema["type"] == "array" else {}
        schema = {"type": "array", "items": schema, **bounds}
    return schema


def row_schema(tensors: tuple[Tensor, ...], *, taken: bool = False) -> Schema:
    """The schema of one example: a value, or an object where there are several tensors."""
    if not tensors:
        return ANY
    if len(tensors) == 1:
        return value_schema(tensors[0], taken=taken)
    return closed({tensor.name: value_schema(tensor, taken=taken) for tensor in tensors})


def closed(properties: dict[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """An object with these properties and no others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def columns_schema(tensors: tuple[Tensor, ...]) -> Schema:
    """The schema of a batch in columns: a list for each tensor, without its name where there is one alone."""
    if not tensors:
        return ANY
    columns = {tensor.name: batch_schema(value_schema(tensor, taken=True)) for tensor in tensors}
    named = closed(columns)
    return named if len(tensors) > 1 else {"oneOf": [*columns.values(), named]}


def nullable(schema: Schema) -> Schema:
    """`schema`, or null, which here means what is missing."""
    return {**schema, "type": [schema["type"], "null"]}


def batch_schema(row: Schema) -> Schema:
    """A list of at least one example."""
    return {"type": "array", "items": row, "minItems": 1}


def sizes_of(tensor: Tensor) -> list[int]:
    """The shape of one example, with 1 where a size is free."""
    return [1 if size is None else size for size in tensor.shape[1:]]


def has_example(signature: Signature) -> bool:
    """Whether an example can be made and is short enough to be shown."""
    return bool(signature.inputs) and sum(math.prod(sizes_of(t)) for t in signature.inputs) <= MOST_VALUES


def example_value(tensor: Tensor) -> Any:
    """One example of `tensor`."""
    value: Any = {"bool": True, "str": "text"}.get(tensor.dtype, 0.5 if "float" in tensor.dtype else 0)
    for size in reversed(sizes_of(tensor)):
        value = [value] * size
    return value


def example_row(signature: Signature) -> Any:
    """One example as the wire contract has it."""
    if len(signature.inputs) == 1:
        return example_value(signature.inputs[0])
    return {tensor.name: example_value(tensor) for tensor in signature.inputs}
