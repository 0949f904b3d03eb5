"""Files that torch wrote: opened, checked and described."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.errors import HandlerError, ModelError, UnsafeModel
from clouddeploy.model.model import Call
from clouddeploy.model.signature import Signature, Tensor

if TYPE_CHECKING:
    from clouddeploy.model.model import Model


def check_weights(path: Path, *, nested_ok: bool) -> None:
    """See that `path` holds tensors by name, loading with ``weights_only=True``.

    Args:
        path: what torch.save wrote.
        nested_ok: whether a checkpoint with more than weights will do (a handler reads it).

    Raises:
        UnsafeModel: torch itself refuses to load it so.
        ModelError: it is broken, or holds something else.
    """
    import pickle

    import torch

    try:
        whole = not zipfile.is_zipfile(path)  # the old form can't be mapped
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=not whole)
    except pickle.UnpicklingError as error:
        raise UnsafeModel(
            f"{path} is not loaded", why=str(error).splitlines()[0], fix="save net.state_dict() instead"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise _broken(path, error) from error
    if nested_ok:
        return
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        inside = ", ".join(map(repr, list(state)[:5])) if isinstance(state, dict) else type(state).__name__
        nested = next(
            (
                k
                for k in ("state_dict", "model_state_dict", "model")
                if isinstance(state, dict) and k in state
            ),
            None,
        )
        fix = f"save torch.load(path)[{nested!r}]" if nested else "save net.state_dict()"
        raise ModelError(
            f"{path} holds more than weights", why=f"it holds {inside}", fix=f"{fix}, or give a handler"
        )


def check_script(path: Path) -> None:
    """See that a TorchScript archive opens.

    Raises:
        ModelError: it doesn't.
    """
    import torch

    try:
        torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: BaseException) -> ModelError:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ModelError(f"{path} can't be loaded", why=line[:300], fix="save or download it again")


def describe_program(path: Path) -> tuple[Signature | None, Call]:
    """The signature of a ``.pt2`` program, as far as it tells, and how it is called.

    Raises:
        ModelError: it can't be loaded, or its batch size is fixed.
    """
    import torch

    try:
        program = torch.export.load(path)
    except Exception as error:
        raise _broken(path, error) from error
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    names = program.graph_signature.user_inputs
    tensors = tuple(_tensor(str(name), values.get(str(name))) for name in names)
    for tensor in tensors:
        if tensor.shape[:1] != (None,):
            raise ModelError(
                f"{path} takes a fixed batch of {tensor.shape[0] if tensor.shape else 'no dimension'}",
                why=f"the first dimension of {tensor.name!r} is not dynamic",
                fix="export it with dynamic_shapes, or let Model.from_torch do it",
            )
    positional, keywords = program.call_spec.in_spec.children() if program.call_spec.in_spec else (None, None)
    if positional is None or keywords is None or keywords.num_leaves:
        return Signature(tensors), "keyword"
    nested = positional.num_children == 1 and positional.num_leaves > 1
    if nested or any(child.num_leaves != 1 or child.num_children for child in positional.children()):
        return None, "mapping"
    return Signature(tensors), "positional"


def writer(path: Path) -> tuple[str, str] | None:
    """The framework that wrote a ``.pt2`` program, and its version; None where the file doesn't say."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if "/models/" in name:
                version = json.loads(archive.read(name)).get("torch_version", "")
                return ("torch", version.partition("+")[0]) if version else None
    return None


def _tensor(name: str, value: Any) -> Tensor:
    import torch

    if not isinstance(value, torch.Tensor):
        raise ModelError(
            f"the program's input {name!r} is no tensor", fix="export it with tensors as inputs alone"
        )
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return Tensor(name, str(value.dtype).removeprefix("torch."), shape)


def module_of(model: Model) -> Any:
    """The module in the model's files, as the runtime's loader makes it, to be called with tensors.

    Raises:
        HandlerError: its class can't be made.
    """
    from clouddeploy.model.local import lay_out
    from clouddeploy.runtime.errors import LoadError
    from clouddeploy.runtime.loaders import torch_class
    from clouddeploy.runtime.source import app_modules

    path = model.files[0].path
    import torch

    if model.format == "torch-export":
        return torch.export.load(path).module()
    if model.format == "torchscript":
        return torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
    if model.format == "pickle":
        return torch.load(path, map_location="cpu", weights_only=False).eval()
    with tempfile.TemporaryDirectory(prefix="clouddeploy-model-") as name:
        folder = lay_out(model, Path(name) / "model")
        try:
            with app_modules(folder / "code" / "app", keep=False):
                return torch_class.module(path, model.manifest())
        except LoadError as error:
            raise HandlerError(str(error), fix="check source and init") from error
