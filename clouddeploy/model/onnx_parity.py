"""Whether an ONNX file answers as torch does: on the example, and on random inputs of several sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clouddeploy.errors import ModelError
from clouddeploy.model.signature import Signature, Tensor
from clouddeploy.model.torch_call import Probe, answers

BATCHES = (1, 3, 8)
"""Batch sizes of the random inputs; the last is the one that is traced."""
FREE_SIZE = 4
"""Size of a free dimension that no example shows."""


@dataclass(frozen=True)
class Case:
    """A batch, and what torch answers to it, both by name (``""`` for a single output)."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


def cases(module: Any, how: Probe) -> tuple[Case, ...]:
    """The example, where there is one, and random inputs, with torch's own answers.

    Raises:
        ModelError: torch can't be called with them, or answers with something else than arrays.
    """
    import numpy as np

    example = _example(how.signature)
    rows = [_case(module, how, example)] if example else []
    random = np.random.default_rng(0)
    for number, size in enumerate(BATCHES):
        try:
            row = _case(module, how, _random(random, how.signature, example, size, number))
        except ModelError:
            if not number:
                raise
            # free dimensions may be bound to each other or to a multiple: leave them as they are
            row = _case(module, how, _random(random, how.signature, example, size, 0))
        rows.append(row)
    return tuple(rows)


def _case(module: Any, how: Probe, inputs: Mapping[str, Any]) -> Case:
    import numpy as np

    outputs = answers(module, how, inputs)
    for name, value in outputs.items():
        if not isinstance(value, np.ndarray):
            raise ModelError(
                f"the output {name!r} is no tensor",
                why="nested outputs have no names in ONNX",
                fix="return a tensor, a tuple of tensors or a dict of them",
            )
    return Case(inputs, outputs)


def _example(signature: Signature) -> dict[str, Any] | None:
    from clouddeploy.runtime.decode import JSON, decode
    from clouddeploy.runtime.signature import Signature as Known

    if signature.example is None:
        return None
    body = json.dumps({"inputs": signature.example}).encode()
    found = decode(body, JSON, Known.parse(signature.as_dict())).inputs
    return found if isinstance(found, dict) else {signature.inputs[0].name: found}


def _random(
    random: Any, signature: Signature, example: Mapping[str, Any] | None, size: int, more: int
) -> dict[str, Any]:
    return {
        tensor.name: _values(random, tensor, example[tensor.name] if example else None, size, more)
        for tensor in signature.inputs
    }


def _values(random: Any, tensor: Tensor, example: Any, size: int, more: int) -> Any:
    """Numbers of the example's range, since integers may be places in a table; `more` widens what is free."""
    import numpy as np

    sizes = example.shape if example is not None else tuple(n or FREE_SIZE for n in tensor.shape)
    rest = [n + more if known is None else n for n, known in zip(sizes, tensor.shape, strict=True)][1:]
    shape = (size, *rest)
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "b":
        return random.random(shape) < 0.5
    low, high = (example.min(), example.max()) if example is not None and example.size else (0, 1)
    if dtype.kind in "iu":
        return random.integers(int(low), int(high), shape, endpoint=True).astype(dtype)
    spread = float(high) - float(low)
    return (float(low) + random.random(shape) * spread if spread else random.standard_normal(shape)).astype(
        dtype
    )


def compared(path: Path, rows: Sequence[Case], names: Sequence[str], tolerance: float) -> float:
    """The largest difference between onnxruntime's answers and torch's.

    Args:
        path: the ONNX file.
        rows: batches with torch's answers.
        names: of the outputs, in the order of the answers.
        tolerance: a difference of so much of ``1 + |value|`` is allowed.

    Raises:
        ModelError: they differ by more, or onnxruntime can't run the file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    worst = 0.0
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        known = {node.name for node in session.get_inputs()}  # what the graph doesn't use is not there
        given = [{name: array for name, array in row.inputs.items() if name in known} for row in rows]
        answered = [session.run(list(names), inputs) for inputs in given]
    except Exception as error:
        from clouddeploy.model.onnx_trace import not_exported

        raise not_exported(error, 0) from error
    for row, found in zip(rows, answered, strict=True):
        size = len(next(iter(row.inputs.values())))
        for name, want, got in zip(names, row.outputs.values(), found, strict=True):
            worst = max(worst, _gap(f"{name} at batch size {size}", want, got, tolerance))
    return worst


def _gap(place: str, want: Any, got: Any, tolerance: float) -> float:
    import numpy as np

    if want.shape != got.shape or want.dtype != got.dtype:
        raise _differs(place, f"{want.dtype}{list(want.shape)}", f"{got.dtype}{list(got.shape)}", tolerance)
    if want.size == 0:
        return 0.0
    wide, found = want.astype(np.float64), got.astype(np.float64)
    same = (wide == found) | (np.isnan(wide) & np.isnan(found))
    gap = np.where(same, 0.0, np.abs(wide - found))
    allowed = tolerance * (1 + np.abs(wide)) if want.dtype.kind == "f" else np.zeros_like(wide)
    bad = ~(gap <= allowed)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise _differs(f"{place}, {list(where)}", str(want[where]), str(got[where]), tolerance)
    return float(gap.max())


def _differs(place: str, want: str, got: str, tolerance: float) -> ModelError:
    return ModelError(
        f"the ONNX form answers differently from torch: output {place}: {got} instead of {want}",
        why=f"allowed is {tolerance:g} of 1 + the value; what depends on the data or on the batch may have "
        "become a constant when it was traced, and a module that is random differs each time",
        fix="write forward with tensor operations, allow more with tolerance=…, or deploy an image, "
        'which can hold torch: Deployer("lambda", package="image")',
    )
