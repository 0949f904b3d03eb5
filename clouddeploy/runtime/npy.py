"""The npy format, read without numpy's own reader so that a header can't claim more than the body holds.

Format: numpy.lib.format, "NPY format", versions 1.0 to 3.0. Object arrays (pickles) are refused.
"""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime.errors import WireError

MAGIC = b"\x93NUMPY"
_HEADER_LIMIT = 4096
_MOST_BYTES = 2**48
_DESCR = re.compile(r"'descr':\s*'([<>|=][bifuUO]\d*)'")
_ORDER = re.compile(r"'fortran_order':\s*(True|False)")
_SHAPE = re.compile(r"'shape':\s*\(([-\d,\s]*)\)")
_FIX = "send the bytes that numpy.save writes for one array of numbers or text"


def read(body: bytes, field: str = "the npy body") -> NDArray[Any]:
    """The array in `body`.

    Raises:
        WireError: ``bad_input`` or ``bad_dtype``.
    """
    if not body.startswith(MAGIC) or len(body) < 12:
        raise WireError("bad_input", f"{field} is no npy file", _FIX)
    wide = body[6] >= 2
    start = 12 if wide else 10
    length = int.from_bytes(body[8:start], "little")
    if length > _HEADER_LIMIT or start + length > len(body):
        raise WireError("bad_input", f"{field} has a header of {length} bytes that can't be right", _FIX)
    dtype, shape, fortran = _header(body[start : start + length].decode("latin-1"), field)
    expected = math.prod(shape) * dtype.itemsize
    found = len(body) - start - length
    if expected != found or dtype.itemsize == 0:
        raise WireError("bad_input", f"{field} holds {found} bytes of data; its header says {expected}", _FIX)
    array: NDArray[Any] = np.frombuffer(body, dtype, offset=start + length).reshape(
        shape, order="F" if fortran else "C"
    )
    return _checked(np.array(array, dtype=dtype.newbyteorder("="), order="C"), field)


def _checked(array: NDArray[Any], field: str) -> NDArray[Any]:
    if array.dtype.kind == "U" and array.size:
        points = array.reshape(-1).view(np.uint32)
        if (points > 0x10FFFF).any():
            raise WireError("bad_input", f"{field} holds text that is not Unicode", _FIX)
    if array.dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise WireError("bad_input", f"{field} holds a bool that is neither 0 nor 1", _FIX)
    return array


def _header(text: str, field: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    descr, order, shape = _DESCR.search(text), _ORDER.search(text), _SHAPE.search(text)
    if not (descr and order and shape):
        raise WireError("bad_dtype", f"{field} holds something else than one plain array", _FIX)
    if "O" in descr[1]:
        raise WireError("bad_dtype", f"{field} holds pickled objects, which are never loaded", _FIX)
    numbers = [size.strip() for size in shape[1].split(",")]
    if not numbers[-1]:  # as in (2,) and ()
        numbers.pop()
    try:
        dtype = np.dtype(descr[1])
    except (TypeError, ValueError) as error:
        raise WireError("bad_dtype", f"{field} has the unknown dtype {descr[1]!r}", _FIX) from error
    if len(numbers) > 32 or not all(size.isdecimal() and len(size) < 16 for size in numbers):
        raise WireError("bad_input", f"{field} has a shape that can't be right", _FIX)
    sizes = tuple(map(int, numbers))
    # Without the zeros among them: numpy makes no array of too large a shape, not even an empty one.
    if math.prod(size or 1 for size in sizes) * dtype.itemsize > _MOST_BYTES:
        raise WireError("bad_input", f"{field} has a shape that can't be right", _FIX)
    return dtype, sizes, order[1] == "True"


def write(array: NDArray[Any]) -> bytes:
    """`array` as an npy file; text (dtype object) as fixed-width Unicode."""
    plain = array.astype(np.str_) if array.dtype.kind == "O" else array
    out = io.BytesIO()
    np.lib.format.write_array(out, np.ascontiguousarray(plain), version=(1, 0), allow_pickle=False)
    return out.getvalue()
