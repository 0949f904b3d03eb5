"""Harnesses of the decoders of bodies: JSON, npy, CSV, TensorFlow Serving, V2 with bytes, gRPC."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime import strict_json
from clouddeploy.runtime.decode import CSV, JSON, NPY, Request, decode
from clouddeploy.runtime.encode import Result, encode
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.service import Service
from clouddeploy.runtime.signature import Signature, Tensor
from clouddeploy.runtime.wire import decode_predictions
from clouddeploy.server.engine.codec import Codec
from clouddeploy.server.engine.jobs import Rows
from clouddeploy.server.protocols import grpc, tensors
from clouddeploy.server.protocols.grpc_messages import messages
from clouddeploy.server.protocols.infer import _loads as parsed
from clouddeploy.server.protocols.infer import read_infer
from clouddeploy.server.protocols.tfserving import read_classify, read_predict, read_regress
from tools.fuzz.outcome import outcome

SIGNATURES = (
    Signature((Tensor("x", "float32", (None, 2)),)),
    Signature(),
    Signature((Tensor("x", "float64", (None,)),)),
    Signature((Tensor("x", "int64", (None, None, 3)),)),
    Signature((Tensor("x", "uint8", (None, None)),)),
    Signature((Tensor("x", "bool", (None, 2)),)),
    Signature((Tensor("x", "str", (None,)),)),
    Signature((Tensor("x", "float16", (None, 2, 2)),)),
    Signature((Tensor("a", "str", (None,)), Tensor("b", "int8", (None, None)))),
    Signature((Tensor("x", "uint64", (None,)),)),
)
"""The first byte of an input chooses one."""
DTYPES = ("float16", "float32", "float64", "bool", "int8", "int64", "uint8", "uint32", "uint64", "str")
MEMORY = 64
"""Bytes of arrays that one byte of a body may become at the most: text is kept by pointer."""


def json_body(data: bytes) -> None:
    """The wire contract's JSON."""
    signature, body = _chosen(data)
    _read(lambda: decode(body, JSON, signature), signature, body)


def npy_body(data: bytes) -> None:
    """The npy format."""
    signature, body = _chosen(data)
    _read(lambda: decode(body, NPY, signature), signature, body)


def csv_body(data: bytes) -> None:
    """CSV."""
    signature, body = _chosen(data)
    _read(lambda: decode(body, CSV, signature), signature, body)


def predictions(data: bytes) -> None:
    """An endpoint's answer, as a client reads it; the second byte chooses its media type."""
    signature, body = _chosen(data)
    kind = (JSON, NPY, CSV)[(body[0] if body else 0) % 3]
    turned = Signature(outputs=signature.inputs) if len(data) % 2 else None
    found = outcome(lambda: decode_predictions(body[1:], kind, turned), WireError)
    if not isinstance(found, WireError):
        arrays = found.values() if isinstance(found, dict) else [found]
        assert len({len(array) for array in arrays if array.ndim}) <= 1


def quick_json(data: bytes) -> None:
    """What the server reads fast is, byte for byte, what the runtime reads, or is left to it."""
    _differ(data, JSON)


def quick_npy(data: bytes) -> None:
    """The same of npy, also for a header that is known already."""
    _differ(data, NPY)


def quick_answers(data: bytes) -> None:
    """What the server writes fast is what the runtime writes."""
    if len(data) < 4:
        return
    dtype, width, form, raw = data[0] % 9, data[1] % 4, data[2], data[3:]
    kind = np.dtype(DTYPES[dtype])
    array = np.frombuffer(raw[: len(raw) // kind.itemsize * kind.itemsize], kind)
    if kind.kind == "b":
        array = np.frombuffer(raw, np.uint8) > 127
    if width:
        array = array[: len(array) // width * width].reshape(-1, width)
    if not len(array):
        return
    outputs: Any = {"one": array, 'tw"o': array[::-1]} if form & 4 else array
    result = Result(outputs, single=bool(form & 8) and len(array) == 1)
    accept = (JSON, NPY, CSV, "*/*")[form % 4]
    codec = _codec(0)
    for _ in range(2):  # the second time with what was remembered
        fast, slow = _told(lambda: codec.write(result, accept)), _told(lambda: encode(result, accept))
        assert fast == slow, f"{fast!r} instead of {slow!r}"


def v2_json(data: bytes) -> None:
    """An inference request of the Open Inference Protocol V2, without bytes."""
    signature, body = _chosen(data)
    _read(lambda: read_infer(body, None, signature).request, signature, body)


def v2_bytes(data: bytes) -> None:
    """The same with binary tensors: the JSON ends at the first byte 0xff, or where a header might say."""
    signature, body = _chosen(data)
    size = body.find(b"\xff")
    body = body.replace(b"\xff", b"", 1)
    where = size if size >= 0 else len(data) * 7 % (len(body) + 3)
    _read(lambda: read_infer(body, where, signature).request, signature, body)


def v2_parsing(data: bytes) -> None:
    """V2's quick parser reads what the strict one reads, but for whole numbers beyond 64 bits."""
    fast, slow = _told(lambda: parsed(data)), _told(lambda: strict_json.loads(data))
    if isinstance(slow, bytes) or isinstance(fast, bytes):
        assert fast == slow, f"{fast!r} instead of {slow!r}"
        return
    assert _same(fast, slow), f"{fast!r} instead of {slow!r}"


def tensorflow_serving(data: bytes) -> None:
    """The bodies of TensorFlow Serving's three verbs."""
    signature, body = _chosen(data)
    value = outcome(lambda: strict_json.loads(body), WireError)
    if not isinstance(value, dict):
        return
    for read in (read_predict, read_classify, read_regress):
        _read(lambda read=read: read(value, signature)[0], signature, body)  # type: ignore[misc]


def grpc_message(data: bytes) -> None:
    """A ``ModelInferRequest`` as it comes over the wire."""
    from google.protobuf.message import DecodeError

    signature, body = _chosen(data)
    message = outcome(lambda: messages()["ModelInferRequest"].FromString(body), DecodeError)
    if isinstance(message, DecodeError):
        return
    _read(lambda: tensors.to_request(grpc._arrays(message), signature), signature, body)


def _chosen(data: bytes) -> tuple[Signature, bytes]:
    return SIGNATURES[(data[0] if data else 0) % len(SIGNATURES)], data[1:]


def _told(act: Callable[[], Any]) -> Any:
    """What `act` gives, or the body of its refusal."""
    found = outcome(act, WireError)
    return found.body() if isinstance(found, WireError) else found


def _read(read: Callable[[], Request], signature: Signature, body: bytes) -> None:
    """Fail unless `read` gives arrays that fit, or refuses what it is given with a reason."""
    found = outcome(read, WireError)
    if isinstance(found, WireError):
        assert 400 <= found.status < 500, f"{found.code}: {found.message}"
        assert found.message, found.code
        assert found.fix, found.code
        told = json.loads(found.body())["error"]
        assert len(told["message"]) < 1000, "a refusal that is as long as what it refuses"
        return
    fits(found, signature)
    arrays = found.inputs.values() if isinstance(found.inputs, dict) else [found.inputs]
    assert sum(array.nbytes for array in arrays) <= MEMORY * len(body)


def fits(request: Request, signature: Signature) -> None:
    """Fail unless the handler gets what the signature says."""
    inputs, known = request.inputs, signature.inputs
    if not known:
        arrays = list(inputs.values()) if isinstance(inputs, dict) else [inputs]
        assert all(array.ndim and len(array) == request.size > 0 for array in arrays)
        return
    named = inputs if isinstance(inputs, dict) else {known[0].name: inputs}
    assert list(named) == [tensor.name for tensor in known] or named.keys() == {t.name for t in known}
    for tensor in known:
        _fits(named[tensor.name], tensor, request.size)


def _fits(array: NDArray[Any], tensor: Tensor, size: int) -> None:
    assert array.dtype == (object if tensor.dtype == "str" else np.dtype(tensor.dtype))
    assert len(array) == size > 0
    assert array.ndim == len(tensor.shape)
    assert all(want in (None, n) for want, n in zip(tensor.shape, array.shape, strict=True))
    assert array.flags.writeable
    assert array.flags.aligned
    if tensor.dtype == "str":
        assert all(type(text) is str for text in array.reshape(-1))
    if tensor.dtype == "bool":
        assert (array.view(np.uint8) < 2).all()


@cache
def _codec(number: int) -> Codec:
    return Codec(Service(lambda inputs: inputs, SIGNATURES[number]))


def _differ(data: bytes, kind: str) -> None:
    number = (data[0] if data else 0) % len(SIGNATURES)
    codec, body = _codec(number), data[1:]
    for _ in range(2):
        fast, slow = (
            _told(lambda: codec.read(body, kind)),
            _told(lambda: decode(body, kind, SIGNATURES[number])),
        )
        if isinstance(fast, Rows):
            assert codec.fast is not None
            array = codec.fast.array(fast.values)
            if array is None:  # the engine then asks the runtime
                continue
            fast = Request(array, fast.size, fast.single)
        assert type(fast) is type(slow), f"{fast!r} instead of {slow!r}"
        if isinstance(slow, bytes):
            assert fast == slow, f"{fast!r} instead of {slow!r}"
        else:
            _equal(fast, slow)


def _equal(fast: Request, slow: Request) -> None:
    assert (fast.size, fast.single) == (slow.size, slow.single)
    one, two = (x if isinstance(x, dict) else {"": x} for x in (fast.inputs, slow.inputs))
    assert list(one) == list(two)
    for name, array in one.items():
        assert (array.dtype, array.shape) == (two[name].dtype, two[name].shape)
        same = array.tolist() == two[name].tolist() if array.dtype.kind == "O" else False
        assert same or array.tobytes() == two[name].tobytes()
        assert array.flags.writeable


def _same(fast: Any, slow: Any) -> bool:
    if isinstance(slow, dict):
        return (
            isinstance(fast, dict) and list(fast) == list(slow) and all(_same(fast[k], slow[k]) for k in slow)
        )
    if isinstance(slow, list):
        return isinstance(fast, list) and len(fast) == len(slow) and all(map(_same, fast, slow))
    if type(slow) is int and not -(2**63) <= slow < 2**64:
        return fast == slow or bool(fast == float(slow))
    return type(fast) is type(slow) and repr(fast) == repr(slow)
