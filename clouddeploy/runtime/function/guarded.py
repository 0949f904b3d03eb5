"""The service as a function runs it: within each request's time, on a disk that is read-only but for /tmp."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clouddeploy.runtime import manifest
from clouddeploy.runtime.decode import Arrays, Request
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import LoadError, WireError
from clouddeploy.runtime.function.budget import Stuck, Worker, seconds_for
from clouddeploy.runtime.handler import Predict
from clouddeploy.runtime.service import BODY_LIMIT, Service
from clouddeploy.runtime.signature import Signature

WRITABLE = "a function may write under /tmp alone (tempfile.gettempdir())"

_QUICK = 20
"""A prediction is quick when this many fit in the time that a request has."""


class _Turn(threading.local):
    """What belongs to the request that a thread is serving, and the thread that predicts for it."""

    remaining_ms: Callable[[], float] | None = None
    worker: Worker | None = None
    stuck: Stuck | None = None


class GuardedService(Service):
    """A `Service` whose `predict` gives up in time; `remaining_ms` is set for each request.

    Requests may be served side by side: each thread that serves has a time and a worker of its own.

    A handler of the user's can wait for anything, so it always runs in the worker thread. A built-in
    loader's model is `steady`: it only computes. Once it has been seen to be quick, a request that is no
    larger than one before is predicted in the caller's thread, which saves the handing over.
    """

    steady = False
    _largest = 0  # numbers in the largest request that was predicted
    _slowest_s = 0.0

    def __init__(
        self,
        predict_arrays: Predict,
        signature: Signature | None = None,
        release: str = "",
        body_limit: int = BODY_LIMIT,
    ) -> None:
        super().__init__(predict_arrays, signature, release, body_limit)
        self._turn = _Turn()

    @property
    def remaining_ms(self) -> Callable[[], float] | None:
        """Tells the milliseconds that are left for this thread's request; None knows no end."""
        return self._turn.remaining_ms

    @remaining_ms.setter
    def remaining_ms(self, left: Callable[[], float] | None) -> None:
        self._turn.remaining_ms = left

    @property
    def stuck(self) -> Stuck | None:
        """Why this thread can't predict any more, if it can't."""
        return self._turn.stuck

    def predict(self, request: Request) -> Result:
        """What the model answers.

        Raises:
            WireError: as `Service.predict`; ``out_of_time``; ``prediction_failed`` with the reason when
                the handler wrote where nothing can be written.
        """
        try:
            left = self._turn.remaining_ms
            if left is None:
                return super().predict(request)
            return self._in_time(request, seconds_for(left()))
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            message = "the handler wrote to the function's read-only file system"
            raise WireError("prediction_failed", message, f"mend the handler: {WRITABLE}") from error
        except Stuck as error:
            self._turn.stuck = error
            raise

    def _in_time(self, request: Request, seconds: float) -> Result:
        started = time.perf_counter()
        numbers = _count(request.inputs)
        try:
            if self.steady and numbers <= self._largest and self._slowest_s * _QUICK < seconds:
                return super().predict(request)
            if self._turn.worker is None:
                self._turn.worker = Worker()
            ahead = super().predict
            found: Result = self._turn.worker.run(lambda: ahead(request), seconds)
            self._largest = max(self._largest, numbers)
            return found
        finally:
            self._slowest_s = max(self._slowest_s, time.perf_counter() - started)


def _count(inputs: Arrays) -> int:
    return sum(array.size for array in inputs.values()) if isinstance(inputs, dict) else inputs.size


def load(model_dir: Path, code_dir: Path) -> GuardedService:
    """The service of the model in `model_dir`; whatever its code raises becomes one kind of error.

    Raises:
        LoadError: with the reason, and what to do when it wrote outside ``/tmp``.
    """
    try:
        service = GuardedService.load(model_dir, code_dir)
        service.steady = not manifest.read(model_dir).get("handler")
        return service
    except LoadError as error:
        if any(getattr(cause, "errno", None) == errno.EROFS for cause in _causes(error)):
            raise LoadError(f"{error}; {WRITABLE}", error.phase) from error
        raise
    except SystemExit as error:
        raise LoadError(
            f"the model's code ended the process while it was loaded: exit {error.code}"
        ) from error


def _causes(error: BaseException) -> list[BaseException]:
    found: list[Any] = [error]
    while (cause := found[-1].__cause__) is not None:
        found.append(cause)
    return found
