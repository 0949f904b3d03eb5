"""`Model.from_file`: weights on disk, checked before anything of them is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clouddeploy.errors import ModelError, UnsafeModel
from clouddeploy.model.class_source import Source, named_source
from clouddeploy.model.code import collect, merge
from clouddeploy.model.example import signature_of
from clouddeploy.model.files import File
from clouddeploy.model.folder import RESERVED
from clouddeploy.model.inspection import Inspection, inspect_file
from clouddeploy.model.model import Model
from clouddeploy.model.requirements import normal
from clouddeploy.model.signature import Signature

_CONVERT = (
    "load it once where you trust it and save its weights: torch.save(net.state_dict(), 'weights.pt'), "
    "then give source='net.py:Net'; or give the module to from_torch; or take the risk with allow_pickle=True"
)
_FORMATS = {
    "torch-export": "torch-export",
    "torchscript": "torchscript",
    "onnx": "onnx",
    "safetensors": "safetensors",
}


def open_file(
    path: Path,
    *,
    handler: str | Path | None,
    requirements: Sequence[str],
    include: Sequence[str],
    example_input: Any,
    source: str | None,
    init: Mapping[str, Any] | None,
    allow_pickle: bool,
    check: bool,
    timeout_s: float,
) -> Model:
    """See `Model.from_file`."""
    found = inspect_file(path)
    _check_safe(path, found, allow_pickle)
    entry = Path(handler) if handler else None
    where = named_source(source, init) if source else None
    model = _model(path, found, where, served=entry is None)
    if entry is not None:
        model = replace(model, signature=None)
    model = replace(
        model,
        code=merge(where.code if where else (), collect(entry, include) if entry else ()),
        handler=entry.name if entry else None,
        source=where.as_dict() if where else None,
        requirements=normal([*model.requirements, *requirements]),
    )
    if example_input is not None:
        model = _described(model, example_input)
    if check:
        model.handler_check(timeout_s=timeout_s)
    return model


def _check_safe(path: Path, found: Inspection, allow_pickle: bool) -> None:
    if found.executes and not allow_pickle:
        names = ", ".join(found.executes[:3]) + (" and more" if len(found.executes) > 3 else "")
        raise UnsafeModel(f"{path} would execute code when loaded", why=f"it holds {names}", fix=_CONVERT)


def _model(path: Path, found: Inspection, source: Source | None, *, served: bool) -> Model:
    name = _file_name(path, found)
    files: tuple[File, ...] = (File.read(name, path),)
    if found.kind == "torch-pickle":
        kind = _pickle_format(path, found, source, served=served)
        return Model(format=kind, files=files, weights=name)  # type: ignore[arg-type]
    signature: Signature | None = None
    call = "positional"
    framework: tuple[str, str] | None = None
    if found.kind == "safetensors" and served:
        _need_class(path, source)
    elif found.kind == "onnx":
        from clouddeploy.model.onnx_file import data_files, describe

        files = (*files, *data_files(path))
        signature = describe(path, served=served)
    elif found.kind == "torch-export":
        from clouddeploy.model.torch_files import describe_program, writer

        signature, call = describe_program(path)
        framework = writer(path)
    elif found.kind == "torchscript":
        from clouddeploy.model.torch_files import check_script

        check_script(path)
    return Model(
        format=_FORMATS[found.kind],  # type: ignore[arg-type]
        files=files,
        weights=name,
        framework=framework,
        signature=signature,
        call=call,  # type: ignore[arg-type]
    )


def _file_name(path: Path, found: Inspection) -> str:
    """The name in the model's folder: a plain one, and never one of the archive's own."""
    if found.kind == "onnx" or path.name not in RESERVED:
        return re.sub(r"[^A-Za-z0-9._-]", "_", path.name) if found.kind != "onnx" else path.name
    return f"model{path.suffix}"


def _pickle_format(path: Path, found: Inspection, source: Source | None, *, served: bool) -> str:
    if found.executes:
        return "pickle"
    from clouddeploy.model.torch_files import check_weights

    check_weights(path, nested_ok=not served)
    if served:
        _need_class(path, source)
    return "torch-state-dict"


def _need_class(path: Path, source: Source | None) -> None:
    if source is None:
        raise ModelError(
            f"{path} holds weights without a program",
            why="the class that they belong to is not known",
            fix="name it with source='net.py:Net', or give a handler that makes it",
        )


def _described(model: Model, example: Any) -> Model:
    """`model` with the signature that the example shows, called in this process where it has no handler."""
    if model.handler or model.format == "onnx":
        shown = signature_of(example)
        known = model.signature
        return replace(model, signature=replace(known, example=shown.example) if known and shown else shown)
    from clouddeploy.model.torch_call import probe
    from clouddeploy.model.torch_files import module_of

    net = module_of(model)
    found = probe(net, example, getattr(net, "forward", None), {})
    return replace(model, signature=found.signature, call=found.call)
