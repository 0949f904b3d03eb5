"""The model's signature as the manifest holds it: names, dtypes and shapes of inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DTYPES = (
    *("float16", "float32", "float64", "bool", "str"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)


@dataclass(frozen=True)
class Tensor:
    """One input or output.

    Args:
        name: its name.
        dtype: numpy's name for the dtype, or ``"str"``.
        shape: sizes, None where free; the first is the batch.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join('any' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a model; empty where unknown."""

    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()

    @classmethod
    def parse(cls, manifest: Mapping[str, Any] | None) -> Signature:
        """The signature from the manifest's ``signature``, which may be missing."""
        found = manifest or {}
        return cls(_tensors(found.get("inputs", ())), _tensors(found.get("outputs", ())))


def _tensors(rows: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(row["name"], row["dtype"], tuple(row["shape"])) for row in rows)
