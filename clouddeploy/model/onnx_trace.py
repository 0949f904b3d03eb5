"""Tracing a torch module into an ONNX file whose bytes depend on the module alone.

By torch's TorchScript-based exporter (``dynamo=False``), which needs no package besides torch; the
other one needs onnxscript.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clouddeploy.errors import ModelError
from clouddeploy.model.onnx_parity import Case
from clouddeploy.model.signature import Signature, Tensor
from clouddeploy.model.torch_call import Probe

IMAGE = 'deploy an image, which can hold torch: Deployer("lambda", package="image")'
_OPERATORS = (
    r"operator '((?:aten|prim|quantized|[\w.]+)::[\w.]+)'",
    r"ONNX export of operator ([\w:.]+)",
    r"(?:Could not find an implementation for|No Op registered for) ([\w.]+)",
    r"\b((?:aten|prim|quantized)::\w+)",
)


@dataclass(frozen=True)
class Shape:
    """Names and free dimensions of the ONNX graph.

    Args:
        inputs: names.
        tensors: the outputs.
        axes: free dimensions, by the name of input or output: index to name.
    """

    inputs: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    axes: Mapping[str, Mapping[int, str]]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(tensor.name for tensor in self.tensors)

    @classmethod
    def of(cls, signature: Signature, rows: Sequence[Case]) -> Shape:
        """From what is known of the module, and from how its answers' shapes varied."""
        known = {tensor.name: tensor.shape for tensor in signature.outputs}
        tensors = []
        for name, array in rows[0].outputs.items():
            shapes = [row.outputs[name].shape for row in rows]
            sizes = [set(column) for column in zip(*shapes, strict=False)]
            varied = tuple(next(iter(s)) if i and len(s) == 1 else None for i, s in enumerate(sizes))
            tensors.append(Tensor(name or "output", str(array.dtype), known.get(name or "output", varied)))
        axes = {
            tensor.name: {
                i: f"{tensor.name}_{i}" if i else "batch" for i, n in enumerate(tensor.shape) if n is None
            }
            for tensor in (*signature.inputs, *tensors)
        }
        return cls(tuple(tensor.name for tensor in signature.inputs), tuple(tensors), axes)


def export(module: Any, how: Probe, example: Mapping[str, Any], shape: Shape, path: Path, opset: int) -> None:
    """Write `module`, called as `how` says, to `path`.

    Raises:
        ModelError: it can't be exported; names the operator where the exporter does.
    """
    import torch

    from clouddeploy.model.traceable import traceable

    arguments = tuple(torch.from_numpy(example[name].copy()) for name in shape.inputs)
    with _quiet():
        program = (
            module if isinstance(module, torch.fx.GraphModule) else _program(module, how, example, shape)
        )
    inner = traceable(program) if program is not None else module
    try:
        with _quiet() as heard, torch.no_grad():
            torch.onnx.export(
                _flat(inner, how, shape.inputs),
                arguments,
                str(path),
                dynamo=False,
                opset_version=opset,
                input_names=list(shape.inputs),
                output_names=list(shape.outputs),
                dynamic_axes=shape.axes,
                verbose=False,
            )
    except Exception as error:
        raise not_exported(error, opset) from error
    decided = next((one for one in heard if _is_decision(one)), None)
    if decided is not None:
        raise _depends_on_data(decided)


def _is_decision(heard: warnings.WarningMessage) -> bool:
    """Whether tracing met a branch on a tensor's value; those in torch itself compare sizes."""
    import torch

    inside = Path(heard.filename).is_relative_to(Path(torch.__file__).parent)
    text = str(heard.message)
    traced = heard.category.__name__ == "TracerWarning"
    return traced and not inside and "Converting a tensor to a Python" in text


def _program(module: Any, how: Probe, example: Mapping[str, Any], shape: Shape) -> Any:
    """`module` as a program, in which no branch depends on the data; None where that can't be had."""
    import torch

    if isinstance(module, torch.jit.ScriptModule):
        return None  # it holds its branches
    dims = {
        name: {i: torch.export.Dim.DYNAMIC if i else torch.export.Dim("batch") for i in shape.axes[name]}
        for name in shape.inputs
    }
    shapes: Any = (
        (dims,) if how.call == "mapping" else dims if how.call == "keyword" else tuple(dims.values())
    )
    args, kwargs = how.arguments({name: example[name] for name in shape.inputs})
    try:
        return torch.export.export(module, args, kwargs, dynamic_shapes=shapes).module()
    except Exception:  # noqa: BLE001  # torch.export raises anything; tracing the module itself is next
        return None


def _depends_on_data(heard: warnings.WarningMessage) -> ModelError:
    place = f"{Path(heard.filename).name}, line {heard.lineno}"
    return ModelError(
        f"the model can't be converted to ONNX: what it does depends on the data ({place})",
        why="a branch or loop on a tensor's values would become a constant",
        fix=f"write forward with tensor operations such as torch.where; or {IMAGE}",
    )


def not_exported(error: BaseException, opset: int) -> ModelError:
    """The error for a model that ONNX, its exporter or onnxruntime can't express."""
    text = str(error).strip() or type(error).__name__
    found = next((match[1] for pattern in _OPERATORS if (match := re.search(pattern, text))), None)
    what = f"operator {found} can't be expressed" if found else "the model can't be exported"
    return ModelError(
        f"the model can't be converted to ONNX: {what}" if found else f"{what} to ONNX",
        why=f"opset {opset}: {text.splitlines()[0][:300]}",
        fix=(f"write it without {found}" if found else "write forward with tensor operations")
        + f"; or {IMAGE}",
    )


def _flat(module: Any, how: Probe, names: Sequence[str]) -> Any:
    """`module` with tensors in and tensors out, in the order of its inputs' and outputs' names."""
    import torch

    if isinstance(module, torch.jit.ScriptModule) and how.call != "mapping":
        return module  # compiled code can't be called from what is traced

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: Any) -> Any:
            named = dict(zip(names, tensors, strict=True))
            if how.call == "mapping":
                return _tensors(self.module(named))
            return _tensors(self.module(**named) if how.call == "keyword" else self.module(*tensors))

    return Flat().eval()


def _tensors(outputs: Any) -> Any:
    import torch

    if isinstance(outputs, torch.Tensor):
        return outputs.float() if outputs.dtype == torch.bfloat16 else outputs
    named = outputs._asdict() if hasattr(outputs, "_asdict") else outputs
    values = (v for v in named.values() if v is not None) if isinstance(named, Mapping) else named
    return tuple(_tensors(value) for value in values)


@contextmanager
def _quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Keep the exporters from printing graphs and warning of their age; what they warned of is given."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "torch.fx.experimental.symbolic_shapes")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        silence = io.StringIO()
        with (
            warnings.catch_warnings(record=True) as heard,
            redirect_stdout(silence),
            redirect_stderr(silence),
        ):
            warnings.simplefilter("always")
            yield heard
    finally:
        for log, level in zip(logs, before, strict=True):
            log.setLevel(level)


def canonical(path: Path) -> None:
    """Rewrite the file without what tells of its making: versions, source places, documentation."""
    import onnx

    model = onnx.load(str(path))
    model.ClearField("producer_version")
    model.ClearField("doc_string")
    model.ClearField("metadata_props")
    _strip(model.graph)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _strip(graph: Any) -> None:
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                _strip(inner)
