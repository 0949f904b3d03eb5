"""TorchScript archives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from clouddeploy.runtime.loaders.torch_call import caller, device


def load(path: Path, manifest: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The archive in `path` as a function from arrays to arrays."""
    where = device()
    module = torch.jit.load(path, map_location=where)  # type: ignore[no-untyped-call]
    return caller(module.eval(), manifest, where)
