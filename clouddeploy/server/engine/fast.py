"""JSON at the speed of C for the commonest case: one input and one output of floating-point numbers.

What comes out is exactly what `runtime` makes of the same bytes, or None, and then `runtime` is asked: it
alone knows how to refuse. Whatever could differ (another key, text, a number that the two print otherwise)
counts as None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime.signature import Signature

SINGLE, BATCH = b'{"input":', b'{"inputs":'
FLOATS = ("float32", "float64")
MOST_DIMENSIONS = 5
LOWEST = 1e-4
HIGHEST = {"float32": 1e13, "float64": 1e16}
"""From `LOWEST` up to these, Python's ``repr`` and orjson write the same digits without an exponent."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A request's examples as lists of numbers.

    Args:
        values: one nested list, or one number, for each example.
        single: one example was asked for rather than a batch.
    """

    values: list[Any]
    single: bool

    @property
    def size(self) -> int:
        """How many examples."""
        return len(self.values)


class FastJson:
    """Reads requests and writes predictions for models with one floating-point input.

    Args:
        dtype: of the input.
        shape: of one example, with None where it is free.
    """

    def __init__(self, dtype: str, shape: tuple[int | None, ...]) -> None:
        import msgspec
        import orjson

        kind: Any = float
        for _ in shape:
            kind = list[kind]
        one = msgspec.defstruct("One", [("input", kind)], forbid_unknown_fields=True, gc=False)
        many = msgspec.defstruct("Many", [("inputs", list[kind])], forbid_unknown_fields=True, gc=False)
        self._one: Callable[[bytes], Any] = msgspec.json.Decoder(one).decode
        self._many: Callable[[bytes], Any] = msgspec.json.Decoder(many).decode
        self._refused = (msgspec.DecodeError, RecursionError)
        self._dumps, self._loads = orjson.dumps, orjson.loads
        self._option = orjson.OPT_SERIALIZE_NUMPY
        self._dtype, self._shape = np.dtype(dtype), shape

    @classmethod
    def of(cls, signature: Signature) -> FastJson | None:
        """For a model with that signature; None when it isn't of that kind or the libraries are missing."""
        if len(signature.inputs) != 1 or len(signature.outputs) > 1:
            return None
        tensor = signature.inputs[0]
        if tensor.dtype not in FLOATS or not 1 <= len(tensor.shape) <= MOST_DIMENSIONS:
            return None
        try:
            return cls(tensor.dtype, tensor.shape[1:])
        except ModuleNotFoundError:
            return None

    def read(self, body: bytes) -> Rows | None:
        """The examples in `body`; None when the runtime should read it."""
        # Two quotation marks are those of the one key: no second key, and no text among the numbers.
        if body.count(b'"') != 2:
            return None
        try:
            if body.startswith(SINGLE):
                return Rows([self._one(body).input], single=True)
            if body.startswith(BATCH):
                found = Rows(self._many(body).inputs, single=False)
                return found if found.values else None
        except self._refused:
            return None
        return None

    def array(self, values: list[Any]) -> NDArray[Any] | None:
        """Examples as the model's input; None when they don't fit it."""
        try:
            broad = np.array(values, dtype=np.float64)
        except (ValueError, OverflowError):
            return None
        if broad.ndim != len(self._shape) + 1:
            return None
        if any(want not in (None, size) for want, size in zip(self._shape, broad.shape[1:], strict=True)):
            return None
        with np.errstate(over="ignore"):
            found = broad.astype(self._dtype, copy=False)
        return found if np.isfinite(found).all() else None

    def write(self, outputs: Any) -> list[bytes] | None:
        """Each row of `outputs` as JSON; None when the runtime should write them."""
        if not isinstance(outputs, np.ndarray) or outputs.dtype.name not in FLOATS:
            return None
        if not 1 <= outputs.ndim <= 2 or not outputs.size or not outputs.flags.c_contiguous:
            return None
        size = np.abs(outputs)
        plain = (size >= LOWEST) & (size < HIGHEST[outputs.dtype.name])
        if not plain.all() and not (plain | (outputs == 0)).all():
            return None
        text = self._dumps(outputs, option=self._option)
        # Digits that are right for a float32 parser can miss when they are read as float64 and rounded.
        if outputs.dtype == np.float32 and not _same(outputs, self._loads(text)):
            return None
        if outputs.ndim == 1:
            return text[1:-1].split(b",")
        return [b"[%b]" % row for row in text[2:-2].split(b"],[")]


def _same(outputs: NDArray[Any], read: Any) -> bool:
    return bool((np.array(read, dtype=np.float64).astype(np.float32) == outputs).all())


def body(rows: list[bytes], *, single: bool) -> bytes:
    """The response's body for the rows of one request."""
    return b'{"prediction":%b}' % rows[0] if single else b'{"predictions":[%b]}' % b",".join(rows)
