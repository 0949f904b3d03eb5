"""``torch.export`` programs (``.pt2``): load without the training code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from clouddeploy.runtime.loaders.torch_call import caller, device

KNOWN = 1024


def load(path: Path, manifest: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The program in `path` as a function from arrays to arrays."""
    program = torch.export.load(path)
    where = device()
    if where.type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, where)
    return caller(checked_once(program.module()), manifest, where)


def checked_once(module: Callable[..., Any]) -> Callable[..., Any]:
    """`module`, which compares its inputs with the program's constraints when they are new to it.

    The comparison tells by shapes and dtypes alone and costs several times what a small net does.
    """
    seen: set[Any] = set()
    forward: Callable[..., Any] = module.forward  # type: ignore[attr-defined]

    def call(*tensors: Any, **named: Any) -> Any:
        flat = (*tensors, *named.values())
        if not all(isinstance(tensor, torch.Tensor) for tensor in flat):
            return module(*tensors, **named)
        key = (len(tensors), *named, *((tensor.shape, tensor.dtype) for tensor in flat))
        if key in seen:
            return forward(*tensors, **named)
        found = module(*tensors, **named)
        if len(seen) >= KNOWN:
            seen.clear()
        seen.add(key)
        return found

    return call
