"""Calling a torch module with numpy arrays, the way it was called when the model was made."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch


def device() -> torch.device:
    """Where the model runs: ``CLOUDDEPLOY_DEVICE``, else the GPU if there is one, else the CPU."""
    named = os.environ.get("CLOUDDEPLOY_DEVICE")
    return torch.device(named or ("cuda" if torch.cuda.is_available() else "cpu"))


def caller(
    module: Callable[..., Any],
    manifest: Mapping[str, Any],
    where: torch.device,
    *,
    takes_floats: bool = False,
) -> Callable[[Any], Any]:
    """`module` as a function from arrays to arrays.

    Args:
        module: what to call.
        manifest: its ``call`` says how: ``positional``, ``keyword`` or ``mapping``.
        where: device of the module's weights.
        takes_floats: no input is of whole numbers, so those that are given as such become floats.
    """
    style = manifest.get("call", "positional")
    signature = manifest.get("signature") or {}
    names = [row["name"] for row in signature.get("inputs", ())]
    free, here = not names, where.type == "cpu"

    def tensor(array: Any) -> torch.Tensor:
        found = np.asarray(array)
        # No signature to tell: torch's own default dtype.
        if free and (found.dtype == np.float64 or (takes_floats and found.dtype.kind in "iu")):
            found = found.astype(np.float32)
        there = torch.from_numpy(found)
        return there if here else there.to(where)

    def call_one(inputs: Any) -> Any:
        array = inputs[names[0]] if isinstance(inputs, dict) else inputs
        with torch.inference_mode():
            return arrays(module(tensor(array)))

    def call(inputs: Any) -> Any:
        named = inputs if isinstance(inputs, dict) else {names[0] if names else "input": inputs}
        tensors = {name: tensor(array) for name, array in named.items()}
        with torch.inference_mode():
            if style == "mapping":
                outputs = module(tensors)
            elif style == "keyword":
                outputs = module(**tensors)
            else:
                outputs = module(*(tensors[name] for name in names or tensors))
        return arrays(outputs)

    return call_one if style == "positional" and len(names) == 1 else call


def arrays(outputs: Any) -> Any:
    """A tensor as an array, a mapping as a dict of arrays, a tuple or list as a tuple of arrays.

    Raises:
        TypeError: something else.
    """
    if isinstance(outputs, torch.Tensor):
        plain = outputs.detach() if outputs.requires_grad else outputs
        plain = plain if plain.is_cpu else plain.cpu()
        return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    if isinstance(outputs, Mapping):
        return {str(name): arrays(value) for name, value in outputs.items() if value is not None}
    if hasattr(outputs, "_asdict"):
        return arrays(outputs._asdict())
    if isinstance(outputs, (tuple, list)):
        return tuple(arrays(value) for value in outputs)
    raise TypeError(
        f"the model returned {type(outputs).__name__}; expected tensors, or a dict or tuple of them"
    )
