"""``torch.export`` programs (``.pt2``): load without the training code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from clouddeploy.runtime.loaders.torch_call import caller, device
from clouddeploy.runtime.loaders.torch_graph import flat_forward
from clouddeploy.runtime.loaders.torch_pages import share

KNOWN = 1024


def load(path: Path, manifest: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The program in `path` as a function from arrays to arrays."""
    program = torch.export.load(path)
    where = device()
    if where.type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, where)
    module = program.module()
    share(module, path)
    call = checked_once(module, flat_forward(program, module))
    return caller(call, manifest, where, takes_floats=_takes_floats(program))


def _takes_floats(program: torch.export.ExportedProgram) -> bool:
    """Whether every input of the program is of single-precision numbers."""
    asked = set(program.graph_signature.user_inputs)
    given = [node.meta.get("val") for node in program.graph.nodes if node.name in asked]
    return bool(given) and all(getattr(value, "dtype", None) == torch.float32 for value in given)


def checked_once(module: Callable[..., Any], flat: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """`module`, which compares its inputs with the program's constraints when they are new to it.

    The comparison tells by shapes and dtypes alone and costs several times what a small net does.

    Args:
        module: called with inputs of new shapes.
        flat: computes the same of positional tensors whose shapes were seen; by default ``forward``.
    """
    seen: set[Any] = set()
    forward: Callable[..., Any] = module.forward  # type: ignore[attr-defined]
    quick = flat or forward

    def call(*tensors: Any, **named: Any) -> Any:
        if len(tensors) == 1 and not named and isinstance(tensors[0], torch.Tensor):
            key: Any = (tensors[0].shape, tensors[0].dtype)
            if key in seen:
                return quick(tensors[0])
        else:
            flattened = (*tensors, *named.values())
            if not all(isinstance(tensor, torch.Tensor) for tensor in flattened):
                return module(*tensors, **named)
            key = (len(tensors), *named, *((tensor.shape, tensor.dtype) for tensor in flattened))
            if key in seen:
                return forward(*tensors, **named) if named else quick(*tensors)
        found = module(*tensors, **named)
        if len(seen) >= KNOWN:
            seen.clear()
        seen.add(key)
        return found

    return call
