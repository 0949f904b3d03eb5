"""Inference requests and responses of the Open Inference Protocol V2: JSON, and bytes of tensors after it.

"Open Inference Protocol (V2)", inference request and response JSON objects; "Binary tensor data extension".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime import strict_json
from clouddeploy.runtime.arrays import from_json
from clouddeploy.runtime.decode import Request
from clouddeploy.runtime.encode import plain
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.signature import Signature, Tensor
from clouddeploy.server.protocols.tensors import (
    MOST_DIMENSIONS,
    Wanted,
    bad,
    described,
    dtype_of,
    from_bytes,
    shape_of,
    to_bytes,
    to_request,
)

ALIGNED = 64
"""The JSON before binary tensors is filled with blanks up to a multiple of this, so that they lie aligned."""


@dataclass(frozen=True)
class Infer:
    """An inference request.

    Args:
        request: the arrays.
        id: to be given back; None where none was given.
        wanted: the outputs asked for; empty for all.
        binary: outputs that weren't named one by one are wanted as bytes.
    """

    request: Request
    id: str | None = None
    wanted: tuple[Wanted, ...] = ()
    binary: bool = False


def read_infer(body: bytes, json_size: int | None, signature: Signature) -> Infer:
    """The inference request in `body`.

    Args:
        body: JSON, and the bytes of binary tensors after it.
        json_size: bytes of the JSON, as ``Inference-Header-Content-Length`` says; None where that is missing.
        signature: what the model takes.

    Raises:
        WireError: it isn't what the protocol or the signature allows.
    """
    if json_size is not None and json_size > len(body):
        raise bad(f"Inference-Header-Content-Length is {json_size}; the body has {len(body)} bytes")
    text = body if json_size is None else body[:json_size]
    if not text.strip():
        raise WireError("empty_body", "the body is empty", "send an inference request as JSON")
    value = _loads(text)
    if not isinstance(value, dict):
        raise bad("the body is no object")
    given_id = value.get("id")
    if given_id is not None and not isinstance(given_id, str):
        raise bad("id is no text")
    binary = flag(parameters_of(value, "the request"), "binary_data_output")
    wanted = _read_wanted(value.get("outputs"), binary)
    rest = None if json_size is None else memoryview(body)[json_size:]
    request = to_request(_read_inputs(value.get("inputs"), rest), signature)
    return Infer(request, given_id, wanted, binary)


def parameters_of(owner: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    """The ``parameters`` of a request, an input or an output.

    Raises:
        WireError: they are no object.
    """
    found = owner.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad(f"the parameters of {what} are no object")
    return found


def flag(parameters: Mapping[str, Any], name: str, default: bool = False) -> bool:
    """A parameter that is true or false.

    Raises:
        WireError: it is something else.
    """
    found = parameters.get(name, default)
    if not isinstance(found, bool):
        raise bad(f"the parameter {name} is neither true nor false")
    return found


def _read_wanted(value: Any, binary: bool) -> tuple[Wanted, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise bad("outputs is no list")
    found = []
    for index, row in enumerate(value):
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise bad(f"outputs[{index}] has no name")
        parameters = parameters_of(row, f"outputs[{index}]")
        if parameters.get("classification"):
            raise bad(f"outputs[{index}] asks for a classification", "take the scores and sort them yourself")
        found.append(Wanted(row["name"], flag(parameters, "binary_data", binary)))
    return tuple(found)


def _read_inputs(value: Any, rest: memoryview | None) -> dict[str, NDArray[Any]]:
    if not isinstance(value, list) or not value:
        raise bad("inputs is no list of tensors")
    arrays: dict[str, NDArray[Any]] = {}
    at = 0
    for index, row in enumerate(value):
        field = f"inputs[{index}]"
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise bad(f"{field} has no name")
        if row["name"] in arrays:
            raise bad(f"{field} is named {row['name'][:80]!r}, as another one is")
        shape, datatype = shape_of(row.get("shape"), field), row.get("datatype")
        size = parameters_of(row, field).get("binary_data_size")
        if size is None:
            arrays[row["name"]] = _from_data(row.get("data"), datatype, shape, field)
            continue
        if rest is None:
            raise bad(
                f"{field} has a binary_data_size, but the request no Inference-Header-Content-Length",
                "send the length of the JSON in that header",
            )
        if "data" in row:
            raise bad(f"{field} has both data and binary_data_size")
        if type(size) is not int or not 0 <= size <= len(rest) - at:
            raise bad(f"{field} has a binary_data_size of {str(size)[:20]}; {len(rest) - at} bytes are left")
        arrays[row["name"]] = from_bytes(rest[at : at + size], datatype, shape, field)
        at += size
    if rest is not None and at != len(rest):
        raise bad(f"{len(rest) - at} bytes follow the last tensor", "correct binary_data_size")
    return arrays


def _from_data(data: Any, datatype: Any, shape: tuple[int, ...], field: str) -> NDArray[Any]:
    """JSON values, nested or flat in row-major order."""
    if not isinstance(data, list):
        raise bad(f"{field}.data is no list")
    dtype = dtype_of("FP32" if datatype == "BF16" else datatype, field)
    depth, inner = 1, data
    while inner and isinstance(inner[0], list) and depth < MOST_DIMENSIONS:
        depth, inner = depth + 1, inner[0]
    array = from_json(data, f"{field}.data", Tensor(field, dtype, (None,) * depth))
    if (depth > 1 and array.shape != shape) or array.size != math.prod(shape):
        found = f"shape {list(array.shape)}" if depth > 1 else f"{array.size} values"
        raise WireError(
            "bad_shape", f"{field}.data has {found}; its shape is {list(shape)}", "make the two agree"
        )
    return array.reshape(shape)


def _loads(text: bytes) -> Any:
    """As the strict parser, which also sees a key that stands twice, but fast where there is none.

    Each text, a key or a value, has two quotation marks: when as many are in the text as the parsed value
    accounts for, nothing was dropped. Whole numbers beyond 64 bits become floats, which no tensor of whole
    numbers takes either.
    """
    try:
        import orjson
    except ModuleNotFoundError:
        return strict_json.loads(text)
    if b"\\" not in text:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            return strict_json.loads(text)
        if 2 * _texts_in(value) == text.count(b'"'):
            return value
    return strict_json.loads(text)


def _texts_in(value: Any) -> int:
    if isinstance(value, str):
        return 1
    if isinstance(value, dict):
        return len(value) + sum(map(_texts_in, value.values()))
    if isinstance(value, list) and value and not isinstance(value[0], int | float):
        return sum(map(_texts_in, value))
    return 0


def write_infer(head: dict[str, Any], outputs: list[tuple[str, NDArray[Any], bool]]) -> tuple[bytes, int]:
    """An inference response's body, and bytes of the JSON in it when tensors follow that, else 0.

    Raises:
        WireError: ``non_finite_prediction``.
    """
    rows, parts = [], []
    for name, array, binary in outputs:
        row = described(name, array)
        if binary:
            data = to_bytes(array)
            row["parameters"] = {"binary_data_size": len(data)}
            parts.append(data)
        else:
            row["data"] = _values(name, array)
        rows.append(row)
    text = strict_json.dumps({**head, "outputs": rows})
    if not parts:
        return text, 0
    text += b" " * (-len(text) % ALIGNED)
    return b"".join((text, *parts)), len(text)


def _values(name: str, array: NDArray[Any]) -> list[Any]:
    flat = array.reshape(-1)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        raise WireError(
            "non_finite_prediction",
            f"output {name!r} holds NaN or infinity, which JSON has not",
            'ask for it with the parameter "binary_data": true',
        )
    return plain(flat)
