"""Batches as CSV: one example a line, no header; numbers, or text where the model takes text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime.arrays import check_shape, from_json
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.shortest import shortest
from clouddeploy.runtime.signature import Tensor
from clouddeploy.runtime.strict_json import text_of

_FIX = "send one example a line, numbers separated by commas, no header"


def read(body: bytes | str, tensor: Tensor | None) -> NDArray[Any]:
    """The batch in `body`, of the dtype and shape that `tensor` expects.

    Lines of k values become examples of shape (k,), or of the shape of `tensor` when it has k values.

    Raises:
        WireError: a field is no number, lines differ in length, or the shape doesn't fit.
    """
    rows = _rows(text_of(body))
    dtype = tensor.dtype if tensor else "float64"
    parse = _PARSERS.get(dtype, float if dtype.startswith("float") else int)
    try:
        values = [[parse(field) for field in row] for row in rows]
    except ValueError as error:
        raise _wrong_field(rows, parse, dtype) from error
    _check_finite(values)
    array = from_json(values, "row", Tensor("row", dtype, (None, None)))
    return check_shape(_shaped(array, tensor), "row[0]", tensor)


def _flag(field: str) -> bool:
    known = {"1": True, "true": True, "0": False, "false": False}
    if field.strip().lower() not in known:
        raise ValueError(field)
    return known[field.strip().lower()]


_PARSERS: dict[str, Callable[[str], Any]] = {"str": str, "bool": _flag}


def _check_finite(values: list[list[Any]]) -> None:
    for number, row in enumerate(values, 1):
        for column, value in enumerate(row, 1):
            if isinstance(value, float) and not math.isfinite(value):
                raise WireError(
                    "bad_input", f"row {number}, column {column} is {value}", "send finite numbers"
                )


def _rows(text: str) -> list[list[str]]:
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise WireError("bad_input", f"the CSV can't be read: {error}", _FIX) from error
    if not rows:
        raise WireError("empty_body", "the body holds no row", _FIX)
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise WireError(
                "bad_shape", f"row {number} has {len(row)} fields; row 1 has {len(rows[0])}", _FIX
            )
    return rows


def _wrong_field(rows: list[list[str]], parse: Callable[[str], Any], dtype: str) -> WireError:
    for number, row in enumerate(rows, 1):
        for column, field in enumerate(row, 1):
            try:
                parse(field)
            except ValueError:
                return WireError(
                    "bad_dtype", f"row {number}, column {column} is {field[:40]!r}, no {dtype}", _FIX
                )
    return WireError("bad_dtype", f"a field is no {dtype}", _FIX)


def _shaped(array: NDArray[Any], tensor: Tensor | None) -> NDArray[Any]:
    sizes = tensor.shape[1:] if tensor else (None,)
    if None in sizes or math.prod(size or 0 for size in sizes) != array.shape[1]:
        return array
    return array.reshape(len(array), *(size or 0 for size in sizes))


def write(array: NDArray[Any]) -> bytes:
    """A batch as CSV with ``\\n`` line ends; examples of more dimensions are flattened row-major."""
    rows: NDArray[Any] = array.reshape(len(array), -1)
    if rows.dtype in (np.float16, np.float32):
        rows = shortest(rows)
    elif rows.dtype.kind == "b":
        rows = rows.astype(np.uint8)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows.tolist())
    return out.getvalue().encode()
