"""Arrays as the Open Inference Protocol V2 carries them, from the client's side.

Protocol: "Open Inference Protocol (V2)", HTTP/REST, and its "Binary tensor data extension".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clouddeploy.runtime.signature import Signature

DTYPES = {
    "BOOL": "bool",
    **{f"{kind.upper()}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "BYTES": "str",
}
"""numpy's name, or ``str``, of each datatype. BF16, which numpy lacks, isn't spoken."""
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LENGTH = "inference-header-content-length"
UNNAMED = "input_0"
"""Name of the one input of a model whose metadata names none."""
JSON, BINARY = "application/json", "application/octet-stream"


@dataclass(frozen=True)
class Offer:
    """What a V2 server said about a model.

    Args:
        signature: of the model.
        binary: the server takes tensors as bytes.
    """

    signature: Signature
    binary: bool


def offer(server: Any, model: Any) -> Offer:
    """Read the metadata of a server and of a model.

    Raises:
        WireError: the model's is none.
    """
    from clouddeploy.runtime.signature import Signature, Tensor

    extensions = server.get("extensions") if isinstance(server, Mapping) else None

    def read(rows: Any) -> tuple[Tensor, ...]:
        free = (tuple(None if size < 0 else int(size) for size in row["shape"]) for row in rows)
        return tuple(
            Tensor(row["name"], DTYPES[row["datatype"]], shape) for row, shape in zip(rows, free, strict=True)
        )

    try:
        signature = Signature(read(model["inputs"]), read(model["outputs"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _wrong(f"the model's metadata can't be read ({type(error).__name__}: {error})") from error
    return Offer(signature, isinstance(extensions, list) and "binary_tensor_data" in extensions)


def write(inputs: Any, known: Offer, request_id: str) -> tuple[bytes, dict[str, str]]:
    """A request's body and the headers that describe it.

    Raises:
        WireError: the inputs don't fit the model.
    """
    arrays = _arrays(inputs, known.signature)
    rows, tail = [], []
    for name, array in arrays.items():
        datatype = NAMES["str" if array.dtype.kind == "O" else array.dtype.name]
        row: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if known.binary:
            tail.append(_to_bytes(array))
            row["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            row["data"] = array.reshape(-1).tolist()
        rows.append(row)
    head: dict[str, Any] = {"id": request_id, "inputs": rows}
    if not known.binary:
        return _dumps(head), {"content-type": JSON}
    text = _dumps({**head, "parameters": {"binary_data_output": True}})
    return b"".join((text, *tail)), {"content-type": BINARY, LENGTH: str(len(text))}


def read(body: bytes, headers: Mapping[str, str]) -> Any:
    """The predictions in an answer: one array, or several by name.

    Raises:
        WireError: it is no inference response.
    """
    try:
        size = int(headers.get(LENGTH, len(body)))
        if not 0 <= size <= len(body):
            raise ValueError(f"its JSON has {size} bytes of {len(body)}")
        rest = memoryview(body)[size:]
        found = {}
        for row in json.loads(body[:size])["outputs"]:
            wanted = (row.get("parameters") or {}).get("binary_data_size")
            if wanted is not None:
                if not 0 <= wanted <= len(rest):
                    raise ValueError(f"output {row['name']!r} has {wanted} bytes of {len(rest)}")
                row, rest = {**row, "data": rest[:wanted]}, rest[wanted:]
            found[str(row["name"])] = _from_row(row)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise _wrong(f"the answer can't be read ({type(error).__name__}: {error})") from error
    if not found:
        raise _wrong("the answer holds no outputs")
    return next(iter(found.values())) if len(found) == 1 else found


def _arrays(inputs: Any, signature: Signature) -> dict[str, NDArray[Any]]:
    import numpy as np

    from clouddeploy.runtime.arrays import convert, from_json
    from clouddeploy.runtime.errors import WireError

    known = {tensor.name: tensor for tensor in signature.inputs}
    if not isinstance(inputs, Mapping):
        if len(known) > 1:
            raise WireError("bad_input", "the inputs are one array", f"give a mapping with {_list(known)}")
        inputs = {next(iter(known), UNNAMED): inputs}
    if known and inputs.keys() != known.keys():
        raise WireError("bad_input", f"the inputs are {_list(inputs)}", f"give {_list(known)}")
    found = {}
    for name, value in inputs.items():
        plain = value.detach().cpu().numpy() if hasattr(value, "detach") else value
        field, tensor = f"inputs.{name}", known.get(name)
        if isinstance(plain, list):
            found[name] = from_json(plain, field, tensor)
        else:
            found[name] = convert(np.asarray(plain), field, tensor)
    return found


def _to_bytes(array: NDArray[Any]) -> bytes:
    import numpy as np

    if array.dtype.kind == "O":
        texts = [str(text).encode() for text in array.reshape(-1)]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def _from_row(row: Mapping[str, Any]) -> NDArray[Any]:
    import numpy as np

    dtype, shape, data = DTYPES[row["datatype"]], tuple(map(int, row["shape"])), row["data"]
    if any(size < 0 for size in shape):
        raise ValueError(f"output {row['name']!r} has the shape {list(shape)}")
    if dtype == "str":
        texts = _texts(bytes(data)) if isinstance(data, memoryview) else data
        found: NDArray[Any] = np.array([*texts, None], dtype=object)[:-1]
    elif isinstance(data, memoryview):
        found = np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).astype(dtype)
    else:
        found = np.asarray(data, dtype=dtype).reshape(-1)
    if found.size != math.prod(shape):
        raise ValueError(f"output {row['name']!r} has {found.size} elements for shape {list(shape)}")
    return found.reshape(shape)


def _texts(data: bytes) -> list[str]:
    found, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data):
            raise ValueError("a text is longer than the bytes left")
        found.append(data[at + 4 : end].decode())
        at = end
    return found


def _dumps(value: Any) -> bytes:
    from clouddeploy.runtime.errors import WireError

    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise WireError(
            "bad_input", "the inputs hold NaN or infinity, which JSON has not", "send finite numbers"
        ) from error


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _wrong(message: str) -> Exception:
    from clouddeploy.runtime.errors import WireError

    return WireError("bad_input", message, "see whether the server speaks the Open Inference Protocol V2")
