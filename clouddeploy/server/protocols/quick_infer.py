"""Inference requests of the commonest kind at the speed of C: one tensor of numbers in, one out, as JSON.

What is read is exactly what `infer` makes of the same bytes, or None, and then `infer` is asked: it alone
knows how to refuse. What is written are its very bytes, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clouddeploy.server.engine.fast import FLOATS, INTEGERS
from clouddeploy.server.engine.jobs import Rows, Texts
from clouddeploy.server.protocols.tensors import NAMES, ONLY_OUTPUT

if TYPE_CHECKING:
    from clouddeploy.server.models import Loaded

QUOTES, QUOTES_OF_ID = 14, 4
"""Quotation marks of such a request: six keys and values of its tensor, and one key; and of an id. As
many in a body without escapes, and no key stands twice."""
KNOWN = 256


class QuickInfer:
    """Reads requests for one version of a model and writes its answers.

    Args:
        name: of its input.
        dtype: of that.
        features: numbers in one example.
        head: the response's beginning: model and version.
        output: the name of its output.
    """

    def __init__(self, name: str, dtype: str, features: int, head: dict[str, Any], output: str) -> None:
        import msgspec

        number: Any = float if dtype in FLOATS else int
        fields = [("name", str), ("shape", list[int]), ("datatype", str), ("data", list[number])]
        tensor: Any = msgspec.defstruct("Tensor", fields, forbid_unknown_fields=True, gc=False)
        whole = msgspec.defstruct(
            "Infer",
            [("inputs", list[tensor]), ("id", str | None, None)],
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(whole).decode
        self._refused = (msgspec.DecodeError, RecursionError)
        self._name, self._datatype, self._features = name, NAMES[dtype], features
        self._head = json.dumps(head, separators=(",", ":")).encode()[:-1]
        self._output = json.dumps(output).encode()
        self._middles: dict[tuple[str, tuple[int, ...], int], bytes] = {}

    @classmethod
    def of(cls, loaded: Loaded) -> QuickInfer | None:
        """For a version of a model; None when it isn't of that kind, or the libraries are missing."""
        signature, fast = loaded.service.signature, loaded.engine.fast
        if fast is None or len(signature.inputs) != 1 or len(signature.outputs) > 1:
            return None
        tensor = signature.inputs[0]
        if tensor.dtype not in (*FLOATS, *INTEGERS) or len(tensor.shape) != 2 or tensor.shape[1] is None:
            return None
        output = signature.outputs[0].name if signature.outputs else ONLY_OUTPUT
        head = {"model_name": loaded.name, "model_version": loaded.version}
        try:
            return cls(tensor.name, tensor.dtype, tensor.shape[1], head, output)
        except ModuleNotFoundError:
            return None

    def read(self, body: bytes) -> tuple[Rows, str | None] | None:
        """The examples in `body`, and the request's id; None when `infer` should read it."""
        if b"\\" in body:
            return None
        try:
            found = self._decode(body)
        except self._refused:
            return None
        if body.count(b'"') != QUOTES + (QUOTES_OF_ID if found.id is not None else 0):
            return None
        if len(found.inputs) != 1:
            return None
        tensor, features = found.inputs[0], self._features
        shape, data = tensor.shape, tensor.data
        if tensor.name != self._name or tensor.datatype != self._datatype or len(shape) != 2:
            return None
        size = shape[0]
        if size < 1 or shape[1] != features or len(data) != size * features:
            return None
        values = [data] if size == 1 else [data[at : at + features] for at in range(0, len(data), features)]
        return Rows(values, False, apart=True), found.id

    def write(self, texts: Texts, given_id: str | None) -> bytes:
        """The response's body."""
        datatype = NAMES[texts.dtype]
        key = (texts.dtype, texts.shape, len(texts.rows))
        middle = self._middles.get(key)
        if middle is None:
            shape = ",".join(map(str, (len(texts.rows), *texts.shape)))
            middle = b'"outputs":[{"name":%b,"datatype":"%b","shape":[%b],"data":[' % (
                *(self._output, datatype.encode(), shape.encode()),
            )
            if len(self._middles) >= KNOWN:
                self._middles.clear()
            self._middles[key] = middle
        flat = b",".join(texts.rows)
        if texts.shape:
            flat = flat.replace(b"[", b"").replace(b"]", b"")
        told = b"" if given_id is None else b'"id":%b,' % json.dumps(given_id).encode()
        return b"%b,%b%b%b]}]}" % (self._head, told, middle, flat)
