"""Values to numpy arrays that fit the signature; every refusal names the path of what is wrong."""

from __future__ import annotations

from itertools import chain
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.signature import DTYPES, Tensor

_MOST_DIMENSIONS = 32
_NUMBERS: set[type] = {int, float}


def from_json(values: list[Any], field: str, tensor: Tensor | None, suffix: str = "") -> NDArray[Any]:
    """A batch of JSON values as an array.

    Args:
        values: one value an example: a number, text or nested lists of one shape.
        field: name of the list in the body, for the path in a refusal.
        tensor: what the model expects; None takes int64, float64, bool or text as it comes.
        suffix: path of the value within each example, such as ``.age``.

    Returns:
        Array of shape (len(values), …); text has dtype object.

    Raises:
        WireError: ragged, mixed, out of range, or not what `tensor` says.
    """
    shape, flat = _flatten(values, field, suffix)
    kinds = set(map(type, flat))
    wanted = tensor.dtype if tensor else _dtype_of(kinds)
    if wanted == "float64" and tensor is None and kinds == {int}:
        wanted = "int64"
    allowed = _allowed(wanted)
    if not kinds <= allowed:
        index = next(i for i, value in enumerate(flat) if type(value) not in allowed)
        path = _path(field, shape, index, suffix)
        raise WireError(
            "bad_dtype", f"{path} is {_show(flat[index])}; expected {_noun(wanted)}", f"send {_noun(wanted)}"
        )
    array = _array(flat, wanted, lambda index: _path(field, shape, index, suffix))
    return check_shape(array.reshape(shape), f"{field}[0]{suffix}", tensor)


def _allowed(dtype: str) -> set[type]:
    if dtype in ("str", "bool"):
        return {str} if dtype == "str" else {bool}
    return _NUMBERS if dtype.startswith("float") else {int}


def _flatten(values: list[Any], field: str, suffix: str) -> tuple[tuple[int, ...], list[Any]]:
    shape = [len(values)]
    flat = values
    while flat and list in (kinds := set(map(type, flat))):
        if kinds != {list} or len(set(map(len, flat))) > 1 or len(shape) == _MOST_DIMENSIONS:
            _refuse_ragged(flat, shape, field, suffix)
        shape.append(len(flat[0]))
        flat = list(chain.from_iterable(flat))
    return tuple(shape), flat


def _refuse_ragged(flat: list[Any], shape: list[int], field: str, suffix: str) -> NoReturn:
    def size(value: Any) -> object:
        return len(value) if type(value) is list else "no list"

    index = next((i for i, value in enumerate(flat) if size(value) != size(flat[0])), 0)
    path = _path(field, tuple(shape), index, suffix)
    if index == 0:
        raise WireError(
            "bad_shape", f"{path} has more than {_MOST_DIMENSIONS} dimensions", "send fewer dimensions"
        )
    first = _path(field, tuple(shape), 0, suffix)
    message = f"{path} has another length than {first}: {size(flat[index])}, not {size(flat[0])}"
    raise WireError("bad_shape", message, "give every row the same length")


def _dtype_of(kinds: set[type]) -> str:
    if kinds <= {str} and kinds:
        return "str"
    return "bool" if kinds == {bool} else "float64"


def _array(flat: list[Any], dtype: str, path: Any) -> NDArray[Any]:
    if dtype == "str":
        text = np.empty(len(flat), dtype=object)
        text[:] = flat
        return text
    if dtype == "bool":
        return np.array(flat, dtype=np.bool_)
    broad = np.float64 if dtype.startswith("float") else np.uint64 if dtype == "uint64" else np.int64
    try:
        array: NDArray[Any] = np.array(flat, dtype=broad)
    except OverflowError:
        index = next(i for i, value in enumerate(flat) if not _fits(value, broad))
        raise _out_of_range(path(index), flat[index], dtype) from None
    if dtype.startswith("float") and not np.isfinite(array).all():
        index = int(np.flatnonzero(~np.isfinite(array))[0])
        shown = "NaN" if np.isnan(array[index]) else "a number beyond float64"
        raise _out_of_range(path(index), shown, dtype)
    return narrow(array, dtype, path)


def _fits(value: Any, kind: Any) -> bool:
    try:
        np.array(value, dtype=kind)
    except OverflowError:
        return False
    return True


def narrow(array: NDArray[Any], dtype: str, path: Any) -> NDArray[Any]:
    """`array` (flat) as `dtype`, if every value fits; ``path(index)`` names the one that doesn't.

    Raises:
        WireError: ``bad_dtype``.
    """
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        result = array.astype(dtype)
    if result.dtype.kind == "f":
        bad = np.isinf(result)
        if bad.any():
            bad &= ~np.isinf(array.astype(np.float64))
    else:
        bad = (result != array) | ((result < 0) != (array < 0))
    if bad.any():
        index = int(np.flatnonzero(bad)[0])
        raise _out_of_range(path(index), array[index], dtype)
    return result


def convert(array: NDArray[Any], field: str, tensor: Tensor | None) -> NDArray[Any]:
    """A decoded batch as the dtype and shape that `tensor` expects.

    Raises:
        WireError: ``bad_dtype`` or ``bad_shape``.
    """
    if array.dtype.kind == "U":
        array = array.astype(object)
    found = "str" if array.dtype.kind == "O" else array.dtype.name
    if found not in DTYPES:
        raise WireError("bad_dtype", f"{field} has dtype {found}", f"send one of {', '.join(DTYPES)}")
    if tensor is None:
        return array
    flat = array.reshape(-1)
    if found != tensor.dtype:
        exact = {"f": "iuf", "i": "iu", "u": "iu"}.get(np.dtype(tensor.dtype).kind, "")
        if array.dtype.kind not in exact:
            message = f"{field} has dtype {found}; expected {tensor.dtype}"
            raise WireError("bad_dtype", message, f"convert it to {tensor.dtype}")
        flat = narrow(flat, tensor.dtype, lambda index: _path(field, array.shape, index, ""))
    return check_shape(flat.reshape(array.shape), field, tensor)


def check_shape(array: NDArray[Any], field: str, tensor: Tensor | None) -> NDArray[Any]:
    """`array` if it is a batch of at least one example of the shape that `tensor` expects.

    Raises:
        WireError: ``bad_shape``.
    """
    if array.ndim == 0 or array.shape[0] == 0:
        raise WireError("bad_shape", f"{field} holds no example", "send a batch of at least one example")
    if tensor is None:
        return array
    expected = tensor.shape[1:]
    found = array.shape[1:]
    if len(found) != len(expected) or any(
        want not in (None, size) for want, size in zip(expected, found, strict=True)
    ):
        wanted = f"({', '.join('any' if size is None else str(size) for size in expected)})"
        shown = f"({', '.join(map(str, found))})"
        message = f"{field} has shape {shown} an example; {tensor.name!r} takes {wanted}"
        raise WireError("bad_shape", message, f"send each example with shape {wanted}")
    return array


def _out_of_range(path: str, value: object, dtype: str) -> WireError:
    return WireError(
        "bad_dtype", f"{path} is {_show(value)}, out of range for {dtype}", f"send numbers that fit {dtype}"
    )


def _path(field: str, shape: tuple[int, ...], index: int, suffix: str) -> str:
    if not shape:  # one value alone, which has no place in a batch
        return f"{field}{suffix}"
    first, *rest = (int(i) for i in np.unravel_index(index, shape))
    return f"{field}[{first}]{suffix}" + "".join(f"[{i}]" for i in rest)


def _noun(dtype: str) -> str:
    return {"str": "text", "bool": "true or false"}.get(
        dtype, "a number" if dtype.startswith("float") else "a whole number"
    )


def _show(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a huge whole number"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
