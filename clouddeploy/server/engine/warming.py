"""The first predictions of a model, before anybody asks: they are slow, and they tell how fast it is."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from clouddeploy.runtime.decode import Request, from_object
from clouddeploy.server.engine.predicting import joined

if TYPE_CHECKING:
    from clouddeploy.runtime.decode import Arrays
    from clouddeploy.runtime.service import Service
    from clouddeploy.server.engine.pace import Pace
    from clouddeploy.server.engine.predicting import Predictor

TIMES = 3
MOST_BYTES = 64 << 20
"""A full batch of larger examples isn't tried beforehand."""
PATIENCE_S = 2.0
"""A full batch that would take longer isn't tried either: the server should be ready."""
RELATIVE, ABSOLUTE = 1e-2, 1e-4
"""How far the predictions in a batch may lie from those alone before batching is given up."""
log = logging.getLogger(__name__)


def warm_up(service: Service, predictor: Predictor, pace: Pace, most: int, example: Any = None) -> None:
    """Predict alone and in a full batch, measure both, and see whether the two agree.

    Raises:
        BaseException: whatever the model raises on `example`; on zeros of our own it may.
    """
    request = None if service.streams else _request(service, example)
    if request is None:
        return
    try:
        alone = [_timed(service, pace, request) for _ in range(TIMES)]
    except BaseException as error:  # the handler is anybody's code
        if example is not None:
            raise
        log.info("the model doesn't answer zeros (%s), so it is measured on its first requests", error)
        return
    size = sum(array.nbytes for array in _arrays(request.inputs))
    expected_s = pace.expected(most)
    if most > 1 and size * most <= MOST_BYTES and expected_s is not None and expected_s <= PATIENCE_S:
        _try_batch(service, predictor, pace, request, most, alone[-2:])


def _try_batch(
    service: Service, predictor: Predictor, pace: Pace, request: Request, most: int, alone: list[Arrays]
) -> None:
    many = Request(joined([request.inputs] * most), most)
    try:
        found = [_timed(service, pace, many) for _ in range(2)][-1]
    except BaseException as error:  # noqa: BLE001  # the handler is anybody's code
        predictor.together = False
        log.warning("the model fails on a batch of %d, so each request is predicted alone: %s", most, error)
        return
    if _near(alone[0], alone[1], 1) and not _near(alone[0], found, most):
        predictor.together = False
        log.warning(
            "the model predicts otherwise in a batch of %d than alone, so each request is predicted alone: "
            "is it in training mode, or does it compute over the batch?",
            most,
        )


def _request(service: Service, example: Any) -> Request | None:
    tensors = service.signature.inputs
    if example is not None:
        return from_object({"inputs": example}, service.signature)
    if not tensors or any(tensor.dtype == "str" for tensor in tensors):
        return None
    arrays = {t.name: np.zeros([1, *(n or 1 for n in t.shape[1:])], t.dtype) for t in tensors}
    return Request(arrays if len(arrays) > 1 else arrays[tensors[0].name], 1)


def _timed(service: Service, pace: Pace, request: Request) -> Arrays:
    """Predict; the first time of each size counts for nothing."""
    began = time.perf_counter()
    outputs = service.predict(request).outputs
    pace.begin(request.size, time.perf_counter() - began)
    return outputs


def _arrays(inputs: Arrays) -> list[Any]:
    return list(inputs.values()) if isinstance(inputs, dict) else [inputs]


def _near(one: Arrays, many: Arrays, most: int) -> bool:
    """Whether each row of `many` is the one of `one`, as far as numbers can tell."""
    rows = zip(_arrays(one), _arrays(many), strict=True)
    return all(
        a.shape[1:] == b.shape[1:]
        and (a.dtype.kind != "f" or np.allclose(np.repeat(a, most, 0), b, RELATIVE, ABSOLUTE, equal_nan=True))
        for a, b in rows
    )
