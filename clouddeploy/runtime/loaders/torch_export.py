"""``torch.export`` programs (``.pt2``): load without the training code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from clouddeploy.runtime.loaders.torch_call import caller, device


def load(path: Path, manifest: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The program in `path` as a function from arrays to arrays."""
    program = torch.export.load(path)
    where = device()
    if where.type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, where)
    return caller(program.module(), manifest, where)
