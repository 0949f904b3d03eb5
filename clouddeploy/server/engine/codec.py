"""Bodies to requests, predictions to bodies: the quick ways first; what those don't take, `runtime` does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clouddeploy.runtime import npy
from clouddeploy.runtime.decode import JSON, NPY, Request
from clouddeploy.runtime.encode import Result, accepted
from clouddeploy.server.engine.fast import FastJson, body
from clouddeploy.server.engine.jobs import Rows

if TYPE_CHECKING:
    from clouddeploy.runtime.service import Service

JSON_KINDS = frozenset((JSON, f"{JSON}; charset=utf-8", f"{JSON};charset=utf-8", ""))
JSON_FIRST = frozenset((JSON, "*/*", ""))
"""Values of Accept for which JSON is the answer."""
KNOWN = 256


class Codec:
    """What a service reads and writes, byte for byte.

    Args:
        service: the runtime's own decoder and encoder.

    Attributes:
        fast: for JSON; None where the model isn't of that kind.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.fast = FastJson.of(service.signature)
        self._limit = service.body_limit
        self._read_heads: dict[bytes, tuple[np.dtype[Any], tuple[int, ...], int] | None] = {}
        self._written_heads: dict[tuple[str, tuple[int, ...]], bytes] = {}

    def read(self, data: bytes, kind: str) -> Request | Rows:
        """The request in `data`, whose content type is `kind`.

        Raises:
            WireError: it isn't what the wire contract or the signature allows.
        """
        found: Request | Rows | None = None
        if len(data) <= self._limit:
            if kind in JSON_KINDS:
                found = None if self.fast is None else self.fast.read(data)
            elif kind == NPY:
                found = self._read_npy(data)
        return self._service.decode(data, kind) if found is None else found

    def _read_npy(self, data: bytes) -> Request | None:
        """The array in `data`, without the pattern matching when its header was seen before."""
        head = data[: 10 + int.from_bytes(data[8:10], "little")] if data[6:7] == b"\x01" else b""
        known = self._read_heads.get(head)
        if known is not None:
            dtype, shape, size = known
            if len(data) - len(head) != size:
                return None
            # Writable, as the runtime gives it: a handler may compute in place.
            return Request(np.frombuffer(data, dtype, offset=len(head)).reshape(shape).copy(), shape[0])
        request = self._service.decode(data, NPY)
        array = request.inputs
        # Only a header as numpy itself writes it: what another one means isn't ours to find out.
        if head and isinstance(array, np.ndarray) and array.dtype.kind in "fiu" and head == self._head(array):
            if len(self._read_heads) >= KNOWN:
                self._read_heads.clear()
            self._read_heads[head] = (array.dtype, array.shape, array.nbytes)
        return request

    def write(self, answer: Result, accept: str) -> tuple[bytes, str]:
        """`answer` in the best acceptable form, with its media type.

        Raises:
            WireError: ``not_acceptable``, or ``non_finite_prediction`` in a form that has no NaN.
        """
        kind = JSON if accept in JSON_FIRST else accepted(accept)[0]
        if kind == JSON and self.fast is not None:
            rows = self.fast.write(answer.outputs)
            if rows is not None:
                return body(rows, single=answer.single), JSON
        if kind == NPY and isinstance(answer.outputs, np.ndarray):
            return self._write_npy(answer.outputs), NPY
        return self._service.encode(answer, accept)

    def _write_npy(self, array: NDArray[Any]) -> bytes:
        if array.dtype.kind not in "fiub":
            return npy.write(array)
        return self._head(array) + array.tobytes()

    def _head(self, array: NDArray[Any]) -> bytes:
        """What comes before the numbers of `array` in a file as numpy writes it."""
        key = (array.dtype.str, array.shape)
        head = self._written_heads.get(key)
        if head is None:
            whole = npy.write(array)
            head = whole[: len(whole) - array.nbytes]
            if len(self._written_heads) >= KNOWN:
                self._written_heads.clear()
            self._written_heads[key] = head
        return head


def check_accept(accept: str) -> None:
    """Refuse an Accept header that no answer could meet.

    Raises:
        WireError: ``not_acceptable``.
    """
    if accept not in JSON_FIRST:
        accepted(accept)
