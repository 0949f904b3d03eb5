"""JSON at the speed of C for the commonest case: one input of numbers, and outputs of numbers.

What comes out is exactly what `runtime` makes of the same bytes, or None, and then `runtime` is asked: it
alone knows how to refuse. Whatever could differ (another key, text, a number that the two print otherwise)
counts as None.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime.decode import Request
from clouddeploy.runtime.signature import Signature, Tensor
from clouddeploy.server.engine.jobs import Rows

SINGLE, BATCH = b'{"input":', b'{"inputs":'
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
WRITTEN = {np.dtype(name): name for name in (*FLOATS[1:], *INTEGERS)}
MOST_DIMENSIONS = 5
LARGE = 4096
"""Bytes from which a body is made an array at once, rather than in its batch."""
WITHIN = {"float16": 65504.0**2, "float32": 1e76, "float64": float("inf")}
"""If the squares of numbers add up to less, each is finite in that dtype too: one quick step tells."""
LOWEST = 1e-4
HIGHEST = {"float32": 1e13, "float64": 1e16}
"""From `LOWEST` up to these, Python's ``repr`` and orjson write the same digits without an exponent."""


class FastJson:
    """Reads requests and writes predictions for models with one input of numbers.

    Args:
        tensor: the input.
    """

    def __init__(self, tensor: Tensor) -> None:
        import msgspec
        import orjson

        dtype, shape = tensor.dtype, tensor.shape[1:]
        self._float = dtype in FLOATS
        kind: Any = float if self._float else bool if dtype == "bool" else int
        for _ in shape:
            kind = list[kind]
        one = msgspec.defstruct("One", [("input", kind)], forbid_unknown_fields=True, gc=False)
        many = msgspec.defstruct("Many", [("inputs", list[kind])], forbid_unknown_fields=True, gc=False)
        self._one: Callable[[bytes], Any] = msgspec.json.Decoder(one).decode
        self._many: Callable[[bytes], Any] = msgspec.json.Decoder(many).decode
        self._refused = (msgspec.DecodeError, RecursionError)
        self._unread = orjson.JSONDecodeError
        self._dumps, self._loads = orjson.dumps, orjson.loads
        self._option = orjson.OPT_SERIALIZE_NUMPY
        self._dtype = np.dtype(dtype)
        self._broad = np.dtype(np.float64) if self._float else self._dtype
        if dtype in INTEGERS:
            self._broad = np.dtype(np.uint64 if dtype == "uint64" else np.int64)
        self._within = WITHIN.get(dtype, 0.0)
        self._shape = shape
        self._fixed = None if None in shape else tuple(shape)
        self._keys: dict[tuple[str, ...], list[bytes]] = {}

    @classmethod
    def of(cls, signature: Signature) -> FastJson | None:
        """For a model with that signature; None when it isn't of that kind or the libraries are missing."""
        if len(signature.inputs) != 1:
            return None
        tensor = signature.inputs[0]
        if tensor.dtype == "str" or not 1 <= len(tensor.shape) <= MOST_DIMENSIONS:
            return None
        try:
            return cls(tensor)
        except ModuleNotFoundError:
            return None

    def read(self, body: bytes) -> Rows | Request | None:
        """The examples in `body`; None when the runtime should read it."""
        if len(body) >= LARGE and self._float:
            return self._read_large(body)
        # Two quotation marks are those of the one key: no second key, and no text among the numbers.
        if body.count(b'"') != 2:
            return None
        try:
            if body.startswith(SINGLE):
                return Rows([self._one(body).input], True)
            if body.startswith(BATCH):
                values = self._many(body).inputs
                return Rows(values, False) if values else None
        except self._refused:
            return None
        return None

    def _read_large(self, body: bytes) -> Request | None:
        """As `read`, by the parser that is the quickest with many numbers; it takes more than numbers."""
        single = body.startswith(SINGLE)
        if not single and not body.startswith(BATCH):
            return None
        # Of ``true``, ``false`` and ``null``, which numpy would take for numbers, each has one of those.
        # A second key or text has one more quotation mark; to count them would be a tenth of the whole work.
        if body.find(b"l", 10) >= 0 or body.find(b"u", 10) >= 0 or body.find(b'"', 10) >= 0:
            return None
        try:
            found = self._loads(body)
        except self._unread:
            return None
        values = [found["input"]] if single else found["inputs"]
        if type(values) is not list or not values:
            return None
        array = self.array(values)
        return None if array is None else Request(array, len(values), single)

    def array(self, values: list[Any]) -> NDArray[Any] | None:
        """Examples as the model's input; None when they don't fit it."""
        try:
            broad = np.array(values, dtype=self._broad)
        except (ValueError, TypeError, OverflowError):
            return None
        if broad.shape[1:] != self._fixed and not self._fits(broad.shape[1:]):
            return None
        if self._float:
            flat = broad.ravel()
            if flat.dot(flat) < self._within:
                return broad.astype(self._dtype, copy=False)
        return self._narrow(broad)

    def _narrow(self, broad: NDArray[Any]) -> NDArray[Any] | None:
        """`broad` in the input's dtype; None when a number doesn't fit it."""
        if self._broad == self._dtype:
            return broad if not self._float or np.isfinite(broad).all() else None
        with np.errstate(over="ignore"):
            found = broad.astype(self._dtype)
        good = np.isfinite(found).all() if self._float else (found == broad).all()
        return found if good else None

    def _fits(self, shape: tuple[int, ...]) -> bool:
        if self._fixed is not None or len(shape) != len(self._shape):
            return False
        return all(want in (None, size) for want, size in zip(self._shape, shape, strict=True))

    def write(self, outputs: Any) -> list[bytes] | None:
        """Each row of `outputs` as JSON; None when the runtime should write them."""
        if not isinstance(outputs, dict):
            return self._write(outputs)
        columns = [self._write(array) for array in outputs.values()]
        if None in columns:
            return None
        keys = self._keys.get(tuple(outputs))
        if keys is None:
            keys = [json.dumps(name).encode() for name in outputs]
            self._keys = {tuple(outputs): keys}
        return [
            b"{%b}" % b",".join([b"%b:%b" % pair for pair in zip(keys, row, strict=True)])
            for row in zip(*columns, strict=True)
        ]

    def _write(self, outputs: Any) -> list[bytes] | None:
        name = WRITTEN.get(outputs.dtype)
        if name is None or not outputs.ndim or not outputs.size:
            return None
        if not outputs.flags.c_contiguous:
            outputs = np.ascontiguousarray(outputs)
        text = self._dumps(outputs, option=self._option)
        if name in HIGHEST and not self._same(outputs, name, text):
            return None
        if outputs.ndim == 1:
            return text[1:-1].split(b",")
        if outputs.ndim == 2:
            return [b"[%b]" % row for row in text[2:-2].split(b"],[")]
        between = b"]" * (outputs.ndim - 1)
        rows = text[1:-1].split(between + b",")
        return [row + between for row in rows[:-1]] + [rows[-1]]

    def _same(self, outputs: NDArray[Any], name: str, text: bytes) -> bool:
        """Whether Python would write these numbers as orjson wrote them into `text`."""
        if b"e" in text or b"n" in text or b"0.0000" in text:  # exponents, NaN as null, and what is small
            size = np.abs(outputs)
            plain = (size >= LOWEST) & (size < HIGHEST[name])
            if not (plain | (outputs == 0)).all():
                return False
        if name != "float32":
            return True
        # Digits that are right for a float32 parser can miss when they are read as float64 and rounded.
        return np.array(self._loads(text), dtype=np.float32).tobytes() == outputs.tobytes()


def body(rows: list[bytes], *, single: bool) -> bytes:
    """The response's body for the rows of one request."""
    return b'{"prediction":%b}' % rows[0] if single else b'{"predictions":[%b]}' % b",".join(rows)
