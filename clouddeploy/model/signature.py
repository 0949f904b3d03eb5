"""What a model takes and gives: names, dtypes, shapes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a model.

    Args:
        name: its name in requests with several inputs, or in answers with several outputs.
        dtype: numpy's name, such as ``"float32"``, or ``"str"``.
        shape: sizes by dimension, None where free; the first is the batch and None.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def as_dict(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs of a model.

    Args:
        inputs: in the order of the call.
        outputs: empty where unknown (a handler decides what it returns).
        example: a batch of one as JSON values, for the handler check; part of neither the digest
            nor the artifact.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...] = ()
    example: Any = field(default=None, compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return {
            "inputs": [tensor.as_dict() for tensor in self.inputs],
            "outputs": [tensor.as_dict() for tensor in self.outputs],
        }
