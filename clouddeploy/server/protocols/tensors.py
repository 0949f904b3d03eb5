"""Tensors of the Open Inference Protocol V2: datatypes, names, shapes, and the bytes that they have.

Protocol: "Open Inference Protocol (V2)", tensor data types.
Bytes: the protocol's "Binary tensor data extension" (little-endian, row-major, without padding).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime.decode import Request, request_of
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.signature import Signature

DATATYPES = {
    "BOOL": "bool",
    **{f"{kind.upper()}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "BYTES": "str",
}
"""numpy's name (or ``str``) of each datatype; BF16, which numpy has not, is read and becomes FP32."""
NAMES = {dtype: datatype for datatype, dtype in DATATYPES.items()}
MOST_DIMENSIONS, MOST_ELEMENTS = 32, 1 << 40
ONLY_OUTPUT = "output_0"


@dataclass(frozen=True)
class Wanted:
    """An output that was asked for.

    Args:
        name: its name.
        binary: as bytes rather than JSON.
    """

    name: str
    binary: bool


def bad(message: str, fix: str = "see the Open Inference Protocol V2, inference request") -> WireError:
    """A request that isn't the protocol's."""
    return WireError("bad_input", message, fix)


def shape_of(value: Any, field: str) -> tuple[int, ...]:
    """A shape that an array can have.

    Raises:
        WireError: ``bad_shape``.
    """
    sizes = value if isinstance(value, list) else [None]
    if not all(type(size) is int and 0 <= size < MOST_ELEMENTS for size in sizes):
        raise WireError("bad_shape", f"{field}.shape is no list of whole numbers from 0", "correct it")
    # Without the zeros among them: numpy makes no array of too large a shape, not even an empty one.
    if len(sizes) > MOST_DIMENSIONS or math.prod(size or 1 for size in sizes) > MOST_ELEMENTS:
        raise WireError("bad_shape", f"{field}.shape can't be right", "send fewer dimensions or examples")
    if not sizes or not sizes[0]:
        raise WireError("bad_shape", f"{field} holds no example", "send a batch of at least one example")
    return tuple(sizes)


def dtype_of(datatype: Any, field: str) -> str:
    """numpy's name of a datatype.

    Raises:
        WireError: ``bad_dtype``.
    """
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        known = ", ".join(DATATYPES)
        raise WireError(
            "bad_dtype", f"{field}.datatype is {str(datatype)[:40]!r}", f"send one of {known} or BF16"
        )
    return DATATYPES[datatype]


def from_bytes(data: memoryview, datatype: Any, shape: tuple[int, ...], field: str) -> NDArray[Any]:
    """The tensor in `data`: a view of it where it is aligned and can be written to, else a copy.

    Raises:
        WireError: ``bad_dtype``, ``bad_shape`` or ``bad_input``.
    """
    if datatype == "BYTES":
        return _texts(data, math.prod(shape), field).reshape(shape)
    dtype = np.dtype("<u2" if datatype == "BF16" else dtype_of(datatype, field)).newbyteorder("<")
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise WireError(
            "bad_shape",
            f"{field} has {len(data)} bytes; {datatype} of shape {list(shape)} has {expected}",
            "make shape, datatype and binary_data_size agree",
        )
    array: NDArray[Any] = np.frombuffer(data, dtype)
    if datatype == "BOOL" and (array.view(np.uint8) > 1).any():
        raise bad(f"{field} holds a BOOL that is neither 0 nor 1")
    if datatype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    # A handler may change what it is given, and a framework may need aligned data.
    if not array.flags.writeable or not array.flags.aligned or not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array.reshape(shape)


def _texts(data: memoryview, count: int, field: str) -> NDArray[Any]:
    if count * 4 > len(data):
        raise WireError("bad_shape", f"{field} has {len(data)} bytes for {count} texts", "correct its shape")
    found = np.empty(count, dtype=object)
    at = 0
    for i in range(count):
        start = at + 4
        end = start + int.from_bytes(data[at:start], "little")
        if start > len(data) or end > len(data):
            raise bad(f"{field} ends within text {i}", "write each text as four bytes of length and itself")
        found[i] = text_of(bytes(data[start:end]), f"{field}, text {i}")
        at = end
    if at != len(data):
        raise bad(f"{field} has {len(data) - at} bytes after its last text")
    return found


def text_of(data: bytes, what: str) -> str:
    """`data` as text, which is what models get of BYTES.

    Raises:
        WireError: it isn't UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WireError(
            "bad_dtype", f"{what} isn't UTF-8 at byte {error.start}", "send bytes as UINT8"
        ) from error


def to_request(arrays: dict[str, NDArray[Any]], signature: Signature) -> Request:
    """Named arrays as the request that the model gets: one array where it has one input.

    Raises:
        WireError: names, dtypes or shapes don't fit the signature.
    """
    names = [tensor.name for tensor in signature.inputs]
    if names and arrays.keys() != set(names):
        given = ", ".join(name[:40] for name in list(arrays)[:8])
        raise bad(f"the inputs are named {given}; the model takes {', '.join(names)}", "name them so")
    if len(arrays) == 1:
        name, array = next(iter(arrays.items()))
        try:
            return request_of(array, signature)
        except WireError as error:
            message = error.message.replace("inputs", f"input {name!r}", 1)
            raise WireError(error.code, message, error.fix) from error
    return request_of(arrays, signature)


def outputs_of(
    result: Result, signature: Signature, wanted: tuple[Wanted, ...], binary: bool
) -> list[tuple[str, NDArray[Any], bool]]:
    """Name, array and whether it goes as bytes, for each output that was asked for.

    Raises:
        WireError: one is unknown.
    """
    named = result.outputs
    if not isinstance(named, dict):
        named = {signature.outputs[0].name if len(signature.outputs) == 1 else ONLY_OUTPUT: named}
    unknown = next((want.name for want in wanted if want.name not in named), None)
    if unknown is not None:
        raise bad(f"there is no output {unknown[:80]!r}", f"outputs: {', '.join(named)}")
    if not wanted:
        return [(name, array, binary) for name, array in named.items()]
    return [(want.name, named[want.name], want.binary) for want in wanted]


def described(name: str, array: NDArray[Any]) -> dict[str, Any]:
    """A tensor without its data."""
    datatype = NAMES["str" if array.dtype.kind == "O" else array.dtype.name]
    return {"name": name, "datatype": datatype, "shape": list(array.shape)}


def to_bytes(array: NDArray[Any]) -> bytes | memoryview:
    """A tensor's bytes, without a copy where they lie in memory as the protocol wants them."""
    if array.dtype.kind == "O":
        texts = [text.encode() for text in array.reshape(-1)]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    flat: NDArray[Any] = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return flat.reshape(-1).view(np.uint8).data
