"""`Model.from_torch`: which form a module is saved in, and whether what was saved answers the same."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.errors import ModelError
from clouddeploy.model.class_source import Source, source_of
from clouddeploy.model.code import collect, merge
from clouddeploy.model.example import signature_of
from clouddeploy.model.files import File
from clouddeploy.model.model import Model
from clouddeploy.model.requirements import normal
from clouddeploy.model.scratch import Scratch
from clouddeploy.model.signature import Signature
from clouddeploy.model.torch_call import Probe, distance, probe

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.pt"


def save(
    module: torch.nn.Module,
    *,
    example_input: Any,
    handler: str | Path | None,
    handler_input: Any,
    requirements: Sequence[str],
    include: Sequence[str],
    format: str,
    init: Mapping[str, Any] | None,
    free_dims: Mapping[str, Sequence[int]],
    allow_pickle: bool,
    check: bool,
    timeout_s: float,
) -> Model:
    """See `Model.from_torch`."""
    import torch

    _check_arguments(module, format)
    scratch = Scratch()
    notes = _nan_notes(module)
    with _evaluating(module) as net:
        found = probe(net, example_input, net.forward, free_dims)
        saved = _Saver(net, found, free_dims, scratch.path, init, allow_pickle).save(format)
    entry = Path(handler) if handler else None
    model = replace(
        saved,
        code=merge(saved.code, collect(entry, include) if entry else ()),
        handler=entry.name if entry else None,
        requirements=normal([*saved.requirements, *requirements]),
        framework=("torch", str(torch.__version__).partition("+")[0]),
        signature=_served(found.signature, entry, handler_input),
        call=found.call,
        notes=(*notes, *saved.notes),
        scratch=scratch,
    )
    if check:
        answer = model.handler_check(timeout_s=timeout_s)
        if answer is not None and entry is None:
            distance(found.outputs[0], answer)
    return model


def _served(signature: Signature, handler: Path | None, handler_input: Any) -> Signature:
    """What the endpoint takes and gives; what a handler returns is its own affair."""
    if handler is None:
        return signature
    return signature_of(handler_input) or replace(signature, outputs=())


def _check_arguments(module: Any, form: str) -> None:
    import torch

    if not isinstance(module, torch.nn.Module):
        raise ModelError(
            f"from_torch got {type(module).__name__}",
            why="it takes a torch.nn.Module",
            fix="give the module itself",
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelError(
            "from_torch got a TorchScript module",
            fix="save it with torch.jit.save(module, 'model.pt') and give the file to Model.from_file",
        )
    if form not in ("auto", "export", "state_dict"):
        raise ModelError(
            f"format is {form!r}", why="allowed: 'auto', 'export', 'state_dict'", fix="choose one of them"
        )


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """`module` on the CPU in evaluation mode; its modes are put back afterwards."""
    if any(
        tensor.device.type != "cpu" for tensor in module.state_dict().values() if hasattr(tensor, "device")
    ):
        module = copy.deepcopy(module).cpu()
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield module
    finally:
        for part, training in modes:
            part.training = training


def _nan_notes(module: torch.nn.Module) -> tuple[str, ...]:
    import torch

    state = {name: tensor for name, tensor in module.state_dict().items() if isinstance(tensor, torch.Tensor)}
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and torch.isnan(tensor).any()]
    if not bad:
        return ()
    names = ", ".join(bad[:3]) + (" and others" if len(bad) > 3 else "")
    note = f"the weights {names} hold NaN: training diverged?"
    warnings.warn(note, stacklevel=4)
    return (note,)


class _Saver:
    """Saves a module in the first form that holds it."""

    def __init__(
        self,
        module: torch.nn.Module,
        found: Probe,
        free: Mapping[str, Sequence[int]],
        folder: Path,
        init: Mapping[str, Any] | None,
        allow_pickle: bool,
    ) -> None:
        self._module = module
        self._probe = found
        self._free = free
        self._folder = folder
        self._init = init
        self._allow_pickle = allow_pickle

    def save(self, form: str) -> Model:
        """The model with its files; code, requirements and notes as far as the form makes them."""
        if form == "state_dict":
            return self._weights("")
        try:
            return self._program()
        except ModelError:
            raise
        except Exception as error:
            reason = _first_line(error)
            if form == "export":
                raise ModelError(
                    f"torch.export can't express {type(self._module).__name__}: {reason}",
                    why="the program depends on the data, or on a fixed batch size",
                    fix="write forward with tensor operations, or save the weights with format='state_dict'",
                ) from error
            return self._weights(reason)

    def _program(self) -> Model:
        from clouddeploy.model.torch_program import export

        path, gap = export(self._module, self._probe, self._free, self._folder)
        agreement = "bit for bit" if gap == 0 else f"within {gap:.2g}"
        note = f"the exported program equals the module {agreement} at batch sizes 1 and 3"
        return Model(
            format="torch-export", files=(File.read(path.name, path),), weights=path.name, notes=(note,)
        )

    def _weights(self, reason: str) -> Model:
        try:
            source = source_of(self._module, self._init)
        except ModelError as error:
            if not self._allow_pickle:
                because = f"torch.export can't express it ({reason}); " if reason else ""
                raise type(error)(error.what, why=because + error.why, fix=error.fix) from error
            return self._pickle()
        path = self._write(dict(self._module.state_dict()))
        note = (
            [f"torch.export can't express it ({reason}): saved as weights and the source of its class"]
            if reason
            else []
        )
        return _with_source(source, path, tuple(note))

    def _pickle(self) -> Model:
        path = self._write(self._module)
        note = "saved as a pickle: loading it executes code from the file"
        return Model(format="pickle", files=(File.read(path.name, path),), weights=path.name, notes=(note,))

    def _write(self, value: Any) -> Path:
        import torch

        path = self._folder / WEIGHTS
        torch.save(value, path)
        return path


def _with_source(source: Source, path: Path, notes: tuple[str, ...]) -> Model:
    return Model(
        format="torch-state-dict",
        files=(File.read(path.name, path),),
        code=source.code,
        requirements=source.requirements,
        weights=path.name,
        source=source.as_dict(),
        notes=notes,
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
