"""Whole pickled modules: loading executes code from the file, so only where its owner allowed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from clouddeploy.runtime.errors import LoadError
from clouddeploy.runtime.loaders.torch_call import caller, device


def load(path: Path, manifest: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The module in `path` as a function from arrays to arrays.

    Raises:
        LoadError: the manifest doesn't say that it was allowed.
    """
    if manifest.get("allow_pickle") is not True:
        raise LoadError(f"{path.name} is a pickle, and the model was made without allow_pickle=True")
    where = device()
    module = torch.load(path, map_location=where, weights_only=False)
    return caller(module.eval(), manifest, where)
