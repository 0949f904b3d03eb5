"""The wire contract from the client's side: inputs to a request's bytes, a response's bytes to arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime import npy, strict_json, table
from clouddeploy.runtime.arrays import convert, from_json
from clouddeploy.runtime.decode import CSV, JSON, NPY, Arrays, media_type
from clouddeploy.runtime.encode import plain
from clouddeploy.runtime.errors import STATUS, WireError
from clouddeploy.runtime.signature import DTYPES, Signature, Tensor

ACCEPT = f"{NPY}, {JSON};q=0.9"
"""Arrays as npy, exact and quick; several outputs, which npy can't hold, as JSON."""

__all__ = [
    "ACCEPT",
    "CSV",
    "DTYPES",
    "JSON",
    "NPY",
    "STATUS",
    "Arrays",
    "Signature",
    "Tensor",
    "WireError",
    "decode_predictions",
    "encode_inputs",
    "media_type",
]


def encode_inputs(
    inputs: Any, content_type: str | None = None, signature: Signature | None = None
) -> tuple[bytes, str]:
    """A batch as a request's body and its content type.

    Args:
        inputs: an array or nested lists, or a mapping of them by input name; first dimension the batch.
        content_type: one of JSON, NPY, CSV; None takes npy for an array of numbers, else JSON.
        signature: when given, the batch is checked against it and takes its dtypes.

    Raises:
        WireError: the inputs can't be sent, or don't fit the signature.
    """
    known = {tensor.name: tensor for tensor in signature.inputs} if signature else {}
    if isinstance(inputs, Mapping):
        if known and known.keys() != inputs.keys():
            raise WireError("bad_input", f"the inputs are {_list(inputs)}", f"give {_list(known)}")
        named = {name: _array(value, f"inputs.{name}", known.get(name)) for name, value in inputs.items()}
        if len({len(array) for array in named.values()}) != 1:
            raise WireError(
                "bad_shape", "the inputs differ in length", "give every input one row for each example"
            )
        if content_type not in (None, JSON):
            raise WireError("unsupported_media_type", f"{content_type} carries one input", f"send {JSON}")
        return strict_json.dumps({"inputs": _finite(named)}), JSON
    if len(known) > 1:
        raise WireError("bad_input", "the inputs are one array", f"give a dict with {_list(known)}")
    array = _array(inputs, "inputs", next(iter(known.values()), None))
    kind = content_type or (NPY if hasattr(inputs, "dtype") and array.dtype.kind != "O" else JSON)
    if media_type(kind) == NPY:
        return npy.write(array), NPY
    if kind == CSV:
        return table.write(array), CSV
    return strict_json.dumps({"inputs": _finite(array)}), JSON


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _array(value: Any, field: str, tensor: Tensor | None) -> NDArray[Any]:
    if isinstance(value, list):
        return from_json(value, field, tensor)
    if hasattr(value, "detach"):  # a torch tensor, without importing torch here
        value = value.detach().cpu().numpy()
    array = convert(np.asarray(value), field, tensor)
    for one in array.flat if array.dtype.kind == "O" and array.ndim else ():
        if not isinstance(one, str | int | float):
            shown = f"{field} has dtype object, and holds something of type {type(one).__name__}"
            raise WireError("bad_dtype", shown, "convert it to an array of numbers or of texts")
    if array.ndim == 0:
        shown = f"{field} is of type {type(value).__name__}"
        raise WireError("bad_shape", shown, "give a list or an array whose first axis is the batch")
    if not len(array):
        raise WireError("bad_shape", f"{field} holds no example", "give a batch of at least one example")
    return array


def _finite(arrays: Arrays) -> list[Any]:
    for array in arrays.values() if isinstance(arrays, dict) else [arrays]:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise WireError("bad_input", "the inputs hold NaN or infinity, which JSON has not", f"send {NPY}")
    return plain(arrays)


def decode_predictions(body: bytes, content_type: str, signature: Signature | None = None) -> Arrays:
    """The predictions in a response's body.

    Args:
        body: the response's bytes.
        content_type: their media type.
        signature: when given, JSON and CSV numbers get the dtypes of its outputs, bit for bit as
            the model gave them; otherwise they are int64, float64, bool or text.

    Raises:
        WireError: ``bad_json`` or ``bad_input``: the body is no answer of the wire contract.
    """
    tensors = signature.outputs if signature else ()
    only = tensors[0] if len(tensors) == 1 else None
    kind = media_type(content_type)
    if kind == NPY:
        array = npy.read(body, "the response")
        return array.astype(object) if array.dtype.kind == "U" else array
    if kind == CSV:
        return table.read(body, only)
    value = strict_json.loads(body)
    if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= {"predictions", "prediction"}:
        raise WireError(
            "bad_input", "the response holds no predictions", "see whether the endpoint is a clouddeploy one"
        )
    rows = value["predictions"] if "predictions" in value else [value["prediction"]]
    if not isinstance(rows, list) or not rows:
        raise WireError("bad_input", "the response's predictions are no list", "see the endpoint's log")
    if isinstance(rows[0], dict):
        names = rows[0].keys()
        odd = next(
            (i for i, row in enumerate(rows) if not (isinstance(row, dict) and row.keys() == names)), None
        )
        if odd is not None or not names:
            raise WireError(
                "bad_input", f"the response's predictions[{odd or 0}] has no names, or others", "see its log"
            )
        known = {tensor.name: tensor for tensor in tensors}
        return {n: from_json([row[n] for row in rows], "predictions", known.get(n), f".{n}") for n in rows[0]}
    return from_json(rows, "predictions", only)
