"""A request's bytes to the arrays that the handler gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime import npy, strict_json, table
from clouddeploy.runtime.arrays import check_shape, convert, from_json
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.signature import Signature, Tensor

JSON, NPY, CSV = "application/json", "application/x-npy", "text/csv"
Arrays = NDArray[Any] | dict[str, NDArray[Any]]

_FIX = 'send {"inputs": [...]} for a batch or {"input": ...} for one example'


@dataclass(frozen=True)
class Request:
    """What was asked.

    Args:
        inputs: one array, or one for each input name; the first dimension is the batch.
        size: examples in the batch, 1 or more.
        single: whether it was one example (``input``) rather than a batch (``inputs``).
    """

    inputs: Arrays
    size: int
    single: bool = False


def media_type(header: str) -> str:
    """The media type in a Content-Type header, JSON where there is none.

    Raises:
        WireError: ``unsupported_media_type``.
    """
    kind, _, parameters = header.strip().lower().partition(";")
    charset = parameters.partition("charset=")[2].split(";")[0].strip(' "')
    found = kind.strip() or JSON
    if found not in (JSON, NPY, CSV) or charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise WireError(
            "unsupported_media_type",
            f"the content type is {header[:80]!r}",
            f"send {JSON} in UTF-8, {NPY} or {CSV}",
        )
    return found


def decode(body: bytes | str, content_type: str, signature: Signature) -> Request:
    """The request in `body`.

    Raises:
        WireError: it isn't what the wire contract or the signature allows.
    """
    kind = media_type(content_type)
    if not body or not body.strip():
        raise WireError("empty_body", "the body is empty", _FIX)
    if kind == JSON:
        return from_object(strict_json.loads(body), signature)
    if len(signature.inputs) > 1:
        raise WireError(
            "bad_input", f"{kind} carries one input; the model takes {_names(signature)}", f"send {JSON}"
        )
    tensor = signature.inputs[0] if signature.inputs else None
    if kind == CSV:
        rows = table.read(body, tensor)
    else:
        rows = convert(npy.read(body.encode("latin-1") if isinstance(body, str) else body), "inputs", tensor)
    return Request(check_shape(rows, "the body", None), len(rows))


def request_of(inputs: Any, signature: Signature) -> Request:
    """A batch of arrays as the request that their bytes would become.

    Raises:
        WireError: they don't fit the signature.
    """
    tensors = {tensor.name: tensor for tensor in signature.inputs}
    if not isinstance(inputs, dict):
        array = convert(np.asarray(inputs), "inputs", next(iter(tensors.values()), None))
        if len(tensors) > 1:
            raise WireError("bad_input", "the inputs are one array", f"give a dict with {_names(signature)}")
        return Request(check_shape(array, "inputs", None), len(array))
    if tensors and inputs.keys() != tensors.keys():
        raise WireError("bad_input", f"the inputs are {', '.join(inputs)}", f"give {_names(signature)}")
    named = {name: convert(np.asarray(a), f"inputs.{name}", tensors.get(name)) for name, a in inputs.items()}
    sizes = {check_shape(array, f"inputs.{name}", None).shape[0] for name, array in named.items()}
    if len(sizes) != 1:
        raise WireError("bad_shape", "the inputs differ in length", "give each one row for each example")
    return Request(named, sizes.pop())


def _names(signature: Signature) -> str:
    return ", ".join(tensor.name for tensor in signature.inputs)


def from_object(value: Any, signature: Signature) -> Request:
    """The request in a body of JSON that is parsed already.

    Raises:
        WireError: it isn't what the wire contract or the signature allows.
    """
    tensors = signature.inputs
    if not isinstance(value, dict):
        raise WireError("bad_input", "the body is no object", _FIX)
    if len(value) != 1 or not value.keys() <= {"inputs", "input"}:
        keys = ", ".join(repr(key[:40]) for key in list(value)[:5]) or "none"
        raise WireError("bad_input", f"the body has the keys {keys}; expected inputs or input alone", _FIX)
    if "input" in value:
        return Request(_batch([value["input"]], tensors, "input"), 1, single=True)
    examples = value["inputs"]
    if not isinstance(examples, list):
        raise WireError("bad_input", "inputs is no list", _FIX)
    if not examples:
        raise WireError("bad_shape", "inputs is empty", "send a batch of at least one example")
    return Request(_batch(examples, tensors, "inputs"), len(examples))


def _batch(examples: list[Any], tensors: tuple[Tensor, ...], field: str) -> Arrays:
    try:
        if len(tensors) > 1 or (not tensors and isinstance(examples[0], dict)):
            names = tuple(tensor.name for tensor in tensors) or tuple(examples[0])
            _check_names(examples, names, field)
            known = {tensor.name: tensor for tensor in tensors}
            return {
                name: from_json([example[name] for example in examples], field, known.get(name), f".{name}")
                for name in names
            }
        return from_json(examples, field, tensors[0] if tensors else None)
    except WireError as error:
        if field == "input":  # one example was asked: the path has no index of the batch
            message = error.message.replace("input[0]", "input")
            raise WireError(error.code, message, error.fix) from error
        raise


def _check_names(examples: list[Any], names: tuple[str, ...], field: str) -> None:
    wanted = ", ".join(names)
    fix = f"send each example as an object with {wanted}" if names else "name the inputs"
    for index, example in enumerate(examples):
        if not isinstance(example, dict) or not names:
            raise WireError("bad_input", f"{field}[{index}] is no object with {wanted or 'names'}", fix)
        missing = next((name for name in names if name not in example), None)
        if missing is not None:
            raise WireError("bad_input", f"{field}[{index}].{missing} is missing", fix)
        extra = next((name for name in example if name not in names), None)
        if extra is not None:
            raise WireError("bad_input", f"{field}[{index}].{extra[:40]} is unknown", fix)
