"""The handler's predictions to a response's bytes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime import npy, strict_json, table
from clouddeploy.runtime.decode import CSV, JSON, NPY, Arrays
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.shortest import shortest
from clouddeploy.runtime.signature import DTYPES

_KNOWN = {np.dtype(name) for name in DTYPES if name != "str"}
"""Of this machine's byte order; a dtype's name, which is the same for both orders, costs more to have."""

_FIX = "see the handler: predict returns one array or list, or a dict of them, one row for each example"


@dataclass(frozen=True)
class Result:
    """What the model answered.

    Args:
        outputs: one array, or one for each output name; the first dimension is the batch.
        single: whether one example was asked for rather than a batch.
    """

    outputs: Arrays
    single: bool = False


def result(outputs: Any, size: int, single: bool) -> Result:
    """`outputs` of a handler as a checked `Result` for a batch of `size` examples.

    Raises:
        WireError: ``bad_prediction``: another count, ragged, or a dtype that can't be sent.
    """
    if inspect.isgenerator(outputs):
        outputs.close()
        raise WireError(
            "bad_prediction",
            "the predictions come bit by bit, which this way of asking has not",
            "ask a clouddeploy server with accept: text/event-stream, or return them at once",
        )
    if isinstance(outputs, dict):
        if not outputs or not all(isinstance(name, str) for name in outputs):
            raise WireError("bad_prediction", "the predictions are a dict without text keys", _FIX)
        return Result(
            {name: _array(rows, size, f"predictions of {name!r}") for name, rows in outputs.items()}, single
        )
    return Result(_array(outputs, size, "the predictions"), single)


def _array(rows: Any, size: int, what: str) -> NDArray[Any]:
    if hasattr(rows, "detach"):  # a torch tensor, without importing torch here
        rows = rows.detach().cpu().numpy()
    try:
        array: NDArray[Any] = np.asarray(rows)
    except (ValueError, TypeError, OverflowError) as error:
        raise WireError("bad_prediction", f"{what} are no array: {error}", _FIX) from error
    if array.dtype.kind == "U":
        array = array.astype(object)
    is_text = array.dtype.kind == "O" and all(type(value) is str for value in array.reshape(-1))
    if array.dtype not in _KNOWN and not is_text and array.dtype.name not in DTYPES:
        raise WireError("bad_prediction", f"{what} have dtype {array.dtype}, which can't be sent", _FIX)
    if array.ndim == 0 or len(array) != size:
        found = "one value" if array.ndim == 0 else f"{len(array)} rows"
        raise WireError("bad_prediction", f"{what} are {found} for {size} examples", _FIX)
    return array


@lru_cache(maxsize=64)
def accepted(header: str) -> tuple[str, ...]:
    """The media types that `header` accepts and this runtime writes, best first.

    Raises:
        WireError: ``not_acceptable``: none.
    """
    ranked = []
    for order, item in enumerate(header.split(",")):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            ranked.append((-float(weight), order, kind))
        except ValueError:
            ranked.append((-1.0, order, kind))
    alias = {"": [JSON], "*/*": [JSON, NPY, CSV], "application/*": [JSON, NPY], "text/*": [CSV]}
    found = tuple(
        media
        for weight, _, kind in sorted(ranked)
        if weight < 0
        for media in alias.get(kind, [kind])
        if media in (JSON, NPY, CSV)
    )
    if not found:
        raise WireError("not_acceptable", f"accept is {header[:80]!r}", f"accept {JSON}, {NPY} or {CSV}")
    return found


def encode(answer: Result, accept: str) -> tuple[bytes, str]:
    """`answer` in the best acceptable form, with its media type.

    Raises:
        WireError: ``not_acceptable``, or ``non_finite_prediction`` in a form that has no NaN.
    """
    kinds = accepted(accept)
    if isinstance(answer.outputs, dict):
        kinds = tuple(kind for kind in kinds if kind == JSON)
        if not kinds:
            raise WireError("not_acceptable", "the model has several outputs", f"accept {JSON}")
    kind = kinds[0]
    if kind == NPY:
        return npy.write(answer.outputs), NPY  # type: ignore[arg-type]
    if kind == CSV:
        _check_finite(answer.outputs)
        return table.write(answer.outputs), CSV  # type: ignore[arg-type]
    return strict_json.dumps(as_object(answer)), JSON


def as_object(answer: Result) -> dict[str, Any]:
    """`answer` as the JSON object of the wire contract.

    Raises:
        WireError: ``non_finite_prediction``.
    """
    _check_finite(answer.outputs)
    rows = plain(answer.outputs)
    return {"prediction": rows[0]} if answer.single else {"predictions": rows}


def plain(arrays: Arrays) -> list[Any]:
    """A batch as JSON values: one for each example."""
    if isinstance(arrays, dict):
        columns = [_plain(array) for array in arrays.values()]
        return [dict(zip(arrays, row, strict=True)) for row in zip(*columns, strict=True)]
    return _plain(arrays)


def _plain(array: NDArray[Any]) -> list[Any]:
    rows: list[Any] = (shortest(array) if array.dtype in (np.float16, np.float32) else array).tolist()
    return rows


def _check_finite(outputs: Arrays) -> None:
    named = outputs if isinstance(outputs, dict) else {"": outputs}
    for name, array in named.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            index = [int(i) for i in np.argwhere(~np.isfinite(array))[0]]
            path = f"predictions[{index[0]}]{'.' + name if name else ''}" + "".join(
                f"[{i}]" for i in index[1:]
            )
            value = str(array[tuple(index)])
            raise WireError(
                "non_finite_prediction",
                f"{path} is {value}, which JSON and CSV can't carry",
                f"accept {NPY} to get it",
            )
