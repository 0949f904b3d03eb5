"""A first prediction that nobody waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from clouddeploy.runtime.function.guarded import GuardedService


def warm(service: GuardedService, tell: Callable[[Exception], object]) -> None:
    """Predict one example of zeros, so that the first request finds everything in place.

    Only a built-in loader's model of known inputs is asked: what a user's handler does with an input of
    nobody's can't be known. A model that can't do with zeros is told of, and nothing more.
    """
    tensors = service.signature.inputs
    if not service.steady or not tensors or any(tensor.dtype == "str" for tensor in tensors):
        return
    inputs: dict[str, Any] = {
        tensor.name: np.zeros([size or 1 for size in tensor.shape], dtype=tensor.dtype) for tensor in tensors
    }
    try:
        service.call(inputs)
    except Exception as error:  # noqa: BLE001  # whatever the model raises concerns no request
        tell(error)
