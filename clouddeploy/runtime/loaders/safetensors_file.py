"""The safetensors format, read with torch alone.

Format (safetensors README, "Format"): 8 bytes little-endian header length, a JSON header of
``{name: {dtype, shape, data_offsets}}`` with an optional ``__metadata__``, then the data.
"""

from __future__ import annotations

import json
import math
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_HEADER_LIMIT = 100_000_000  # the reference implementation's own limit
_DTYPES = {
    "BOOL": ("bool", 1),
    "U8": ("uint8", 1),
    "I8": ("int8", 1),
    "I16": ("int16", 2),
    "U16": ("uint16", 2),
    "I32": ("int32", 4),
    "U32": ("uint32", 4),
    "I64": ("int64", 8),
    "U64": ("uint64", 8),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "F32": ("float32", 4),
    "F64": ("float64", 8),
}


def header(path: Path) -> tuple[dict[str, Any], int]:
    """What the file says of each tensor, checked against its size, and where the data begins.

    Raises:
        ValueError: the file is truncated, or its header is broken.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _HEADER_LIMIT):
            raise ValueError(
                f"a header of {length} bytes doesn't fit a file of {size}: truncated, or something else"
            )
        try:
            found = json.loads(file.read(length))
        except ValueError as error:
            raise ValueError(f"its header is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("its header is no JSON object")
    found.pop("__metadata__", None)
    for name, row in found.items():
        try:
            _check(name, row, size - 8 - length)
        except (KeyError, TypeError) as error:
            raise ValueError(f"its header is broken at tensor {name!r}") from error
    return found, 8 + length


def _check(name: str, row: dict[str, Any], room: int) -> None:
    if row["dtype"] not in _DTYPES:
        raise ValueError(f"tensor {name!r} has dtype {row['dtype']!r}, which is not supported")
    begin, end = row["data_offsets"]
    if begin < 0 or end > room or end - begin != math.prod(row["shape"]) * _DTYPES[row["dtype"]][1]:
        raise ValueError(
            f"tensor {name!r} needs bytes {begin} to {end}, of which {room} are there: truncated?"
        )


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in `path` by name, as pages of the file: processes that read the same one share them.

    Raises:
        ValueError: the file is truncated, or its header is broken.
    """
    import torch

    rows, start = header(path)
    found = {}
    with path.open("rb") as file:
        # Copy on write: a model may change its own weights, and then has these pages for itself.
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    for name, row in rows.items():
        kind, size = _DTYPES[row["dtype"]]
        dtype = getattr(torch, kind)
        begin, end = row["data_offsets"]
        data: Any = pages
        if (start + begin) % size:  # no processor likes numbers that lie askew
            data, begin, end = bytearray(pages[start + begin : start + end]), -start, end - begin - start
        count = (end - begin) // size
        flat = torch.empty(0, dtype=dtype)
        if count:
            flat = torch.frombuffer(data, dtype=dtype, count=count, offset=start + begin)
        found[name] = flat.reshape(row["shape"])
    return found
