"""ONNX files: whether they are whole, the data files beside them, and their signature."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from clouddeploy.errors import ModelError, TargetError
from clouddeploy.model.files import File
from clouddeploy.model.signature import Signature, Tensor

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(string)": "str",
    **{f"tensor({name})": name for name in ("bool", "int8", "int16", "int32", "int64")},
    **{f"tensor({name})": name for name in ("uint8", "uint16", "uint32", "uint64")},
}


def describe(path: Path, *, served: bool) -> Signature | None:
    """The signature that the file tells, after onnxruntime opened it.

    Args:
        path: the file.
        served: whether the built-in loader answers requests, which needs a free batch dimension.

    Raises:
        ModelError: it is truncated or no ONNX model, or takes a fixed batch.
        TargetError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise TargetError("ONNX models need onnxruntime", fix="pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        line = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{path} is no ONNX model that can be loaded",
            why=f"{line[:300]}: truncated?",
            fix="export or download it again",
        ) from error
    nodes = [*session.get_inputs(), *session.get_outputs()]
    if not served or any(node.type not in _DTYPES for node in nodes):
        return None
    inputs = tuple(_tensor(node) for node in session.get_inputs())
    for tensor in inputs:
        if tensor.shape[:1] != (None,):
            raise ModelError(
                f"{path} takes a fixed batch: {tensor.name!r} has shape {list(tensor.shape)}",
                why="requests carry any number of examples",
                fix="export it with a dynamic first dimension (see dynamic_shapes), or give a handler",
            )
    return Signature(inputs, tuple(_tensor(node) for node in session.get_outputs()))


def _tensor(node: Any) -> Tensor:
    return Tensor(
        node.name, _DTYPES[node.type], tuple(s if isinstance(s, int) and s >= 0 else None for s in node.shape)
    )


def data_files(path: Path) -> tuple[File, ...]:
    """The external data files that the model at `path` names, which must lie beside it.

    Raises:
        ModelError: one is missing or lies elsewhere, or the file can't be parsed.
    """
    found = []
    for name in sorted(_locations(path)):
        pure = PurePosixPath(name)
        data = path.parent / name
        if pure.is_absolute() or ".." in pure.parts or not data.is_file():
            raise ModelError(
                f"{path} needs the data file {name!r}",
                why="it is not beside it",
                fix="put it there, or save in one file",
            )
        found.append(File.read(name, data))
    return tuple(found)


def _locations(path: Path) -> set[str]:
    try:
        import onnx
    except ImportError:  # without onnx's parser, take what the exporters usually write
        usual = (f"{path.name}.data", f"{path.name}_data", f"{path.stem}.data")
        return {name for name in usual if (path.parent / name).is_file()}
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise ModelError(
            f"{path} is no ONNX model",
            why=f"{str(error).strip()[:200]}: truncated?",
            fix="export or download it again",
        ) from error
    return {
        entry.value
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
