"""`Model.to("onnx")`: a torch model as ONNX, compared with torch before anything is done with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from clouddeploy.errors import HandlerError, ModelError, TargetError
from clouddeploy.model.files import File
from clouddeploy.model.model import Model
from clouddeploy.model.requirements import normal
from clouddeploy.model.scratch import Scratch
from clouddeploy.model.signature import Signature

NAME = "model.onnx"
OPSET = 20
"""The newest that torch's exporter writes; onnxruntime reads it from 1.17 on (its compatibility table)."""
OPSETS = range(13, OPSET + 1)
ONNXRUNTIME = "onnxruntime<2,>=1.20"
PROGRAMS = frozenset(("torch-export", "torchscript", "pickle"))
WEIGHTS = frozenset(("torch-state-dict", "safetensors"))
MOST_BYTES = 2_000_000_000
"""One protobuf message, and so an ONNX file without others beside it, holds less than 2 GiB."""

_converting: ContextVar[bool] = ContextVar("converting", default=False)
_made: WeakKeyDictionary[Model, dict[tuple[int, float], Model]] = WeakKeyDictionary()


def is_convertible(model: Model) -> bool:
    """Whether `model` holds a torch program, or weights whose class is known."""
    return model.format in PROGRAMS or (model.format in WEIGHTS and model.source is not None)


def to_onnx(
    model: Model, *, opset: int | None, tolerance: float, example_input: Any, check: bool, timeout_s: float
) -> Model:
    """See `Model.to`. What was converted is remembered as long as `model` lives."""
    if model.format == "onnx":
        return model
    _refuse(model, opset)
    _need_packages()
    key = (opset or OPSET, tolerance)
    known = _made.setdefault(model, {})
    if example_input is not None or key not in known:
        with _alone():
            found = _converted(model, *key, example_input)
        if check and found.handler:
            found.handler_check(timeout_s=timeout_s)
        known[key] = found
    return known[key]


@contextmanager
def _alone() -> Iterator[None]:
    """Importing the class of a model runs its file, and that may convert the same model again, for ever."""
    if _converting.get():
        raise HandlerError(
            "a model is converted while another is",
            why="the file with its class runs as a script when it is imported",
            fix="put what makes the model under if __name__ == '__main__':",
        )
    token = _converting.set(True)
    try:
        yield
    finally:
        _converting.reset(token)


def _refuse(model: Model, opset: int | None) -> None:
    if not is_convertible(model):
        raise ModelError(
            f"a model of format {model.format!r} whose handler loads it by itself can't be converted to ONNX",
            why="its program is not known",
            fix="export it where it is trained, and give the .onnx file to Model.from_file",
        )
    if opset is not None and opset not in OPSETS:
        raise ModelError(
            f"opset is {opset!r}",
            why=f"torch's exporter writes {OPSETS[0]} to {OPSETS[-1]}",
            fix="choose one",
        )
    if model.size > MOST_BYTES:
        raise ModelError(
            f"weights of {model.size:,} bytes don't fit one ONNX file",
            why="it holds less than 2 GiB",
            fix="export it with external data, and give that file to Model.from_file",
        )


def _need_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise TargetError(
            "converting a model to ONNX needs torch, onnx and onnxruntime",
            why=str(error),
            fix="pip install torch onnx onnxruntime",
        ) from error


def _converted(model: Model, opset: int, tolerance: float, example_input: Any) -> Model:
    from clouddeploy.model.onnx_parity import BATCHES, cases, compared
    from clouddeploy.model.onnx_trace import Shape, canonical, export
    from clouddeploy.model.torch_files import module_of

    module = module_of(model)
    how = _how(model, module, example_input)
    rows = cases(module, how)
    shape = Shape.of(how.signature, rows)
    scratch = Scratch()
    path = scratch.path / NAME
    export(module, how, rows[-1].inputs, shape, path, opset)
    canonical(path)
    worst = compared(path, rows, shape.outputs, tolerance)
    note = (
        f"ONNX (opset {opset}) equals torch within {worst:.2g} on the example and on random inputs "
        f"at batch sizes {', '.join(map(str, BATCHES))} (allowed: {tolerance:g} of 1 + the value)"
    )
    return replace(
        model,
        format="onnx",
        files=(File.read(NAME, path),),
        code=model.code if model.handler else (),
        requirements=normal([*without_torch(model.requirements), *_onnxruntime(model)]),
        framework=None,
        signature=model.signature if model.handler else _served(how.signature, shape),
        weights=NAME,
        source=None,
        call="positional",
        opset=opset,
        notes=(*model.notes, note),
        scratch=scratch,
    )


def _how(model: Model, module: Any, example_input: Any) -> Any:
    """How the module itself is called, and with what; a handler's requests may look different."""
    from clouddeploy.model.torch_call import Probe, probe
    from clouddeploy.model.torch_files import describe_program

    if example_input is not None:
        return probe(module, example_input, getattr(module, "forward", None), {})
    signature, call = model.signature, model.call
    if model.format == "torch-export" and model.handler:
        described, _ = describe_program(model.files[0].path)
        if described is not None and (signature is None or _shapes(signature) != _shapes(described)):
            signature = described
    if signature is None:
        raise ModelError(
            "what the torch module takes is not known, so it can't be exported to ONNX",
            why="the model was made without an example of it",
            fix='give a batch that the module takes: model.to("onnx", example_input=…)',
        )
    return Probe(call, signature, (), ())


def _shapes(signature: Signature) -> list[tuple[str, tuple[int | None, ...]]]:
    return [(tensor.dtype, tensor.shape) for tensor in signature.inputs]


def _served(signature: Signature, shape: Any) -> Signature:
    """The signature with its outputs, which weights of unknown answers lack."""
    return signature if signature.outputs else replace(signature, outputs=shape.tensors)


def _onnxruntime(model: Model) -> tuple[str, ...]:
    return () if "onnxruntime" in map(_name_of, model.requirements) else (ONNXRUNTIME,)


def without_torch(requirements: Iterable[str]) -> tuple[str, ...]:
    """`requirements` without torch itself, which the ONNX form does without."""
    return tuple(line for line in requirements if _name_of(line) != "torch")


def _name_of(requirement: str) -> str:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    return canonicalize_name(Requirement(requirement).name)
