"""Weights by name (torch zip or safetensors) and the source of the class that they belong to."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from clouddeploy.runtime.errors import LoadError
from clouddeploy.runtime.loaders import safetensors_file
from clouddeploy.runtime.loaders.torch_call import caller, device


def load(path: Path, manifest: Mapping[str, Any]) -> Callable[[Any], Any]:
    """The class with its weights as a function from arrays to arrays.

    Raises:
        LoadError: the class can't be imported or made, or the weights are not its own.
    """
    where = device()
    return caller(module(path, manifest).to(where), manifest, where)


def module(path: Path, manifest: Mapping[str, Any]) -> torch.nn.Module:
    """The class that the manifest's ``source`` names, made and given its weights.

    Raises:
        LoadError: the class can't be imported or made, or the weights are not its own.
    """
    source = manifest.get("source")
    if not source:
        raise LoadError(
            f"{path.name} holds weights only, and the model names no class for them: write a handler"
        )
    net = _make(source, path.name)
    found = weights(path)
    # Taken as they are rather than copied, so that workers share the pages of the file that holds them.
    same = all(found[name].dtype == own.dtype for name, own in net.state_dict().items() if name in found)
    try:
        net.load_state_dict(found, assign=same)
    except RuntimeError as error:
        raise LoadError(f"{path.name} does not fit {source['class']}: {error}") from error
    return net.eval()


def _make(source: Mapping[str, Any], file: str) -> torch.nn.Module:
    try:
        found: Any = importlib.import_module(source["module"])
    except Exception as error:
        message = f"{source['module']} can't be imported: {type(error).__name__}: {error}"
        raise LoadError(message, "import") from error
    for part in source["class"].split("."):
        found = getattr(found, part, None)
    if found is None:
        raise LoadError(f"{source['module']} has no class {source['class']}", "import")
    arguments = source.get("init", {})
    try:
        net = found(**arguments)
    except Exception as error:
        raise LoadError(f"{source['class']}(**{arguments}) raised {type(error).__name__}: {error}") from error
    if not isinstance(net, torch.nn.Module):
        raise LoadError(f"{source['class']}, which {file} belongs to, is no torch.nn.Module")
    return net


def weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in `path` by name; nothing in the file is executed."""
    if path.suffix == ".safetensors":
        return safetensors_file.read(path)
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
