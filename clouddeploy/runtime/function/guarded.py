"""The service as a function runs it: within each request's time, on a disk that is read-only but for /tmp."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clouddeploy.runtime import manifest
from clouddeploy.runtime.decode import Arrays, Request
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import LoadError, WireError
from clouddeploy.runtime.function.budget import Stuck, Worker, seconds_for
from clouddeploy.runtime.service import Service

WRITABLE = "in Lambda a function may write under /tmp alone (tempfile.gettempdir())"

_QUICK = 20
"""A prediction is quick when this many fit in the time that a request has."""


class GuardedService(Service):
    """A `Service` whose `predict` gives up in time; `remaining_ms` is set for each request.

    A handler of the user's can wait for anything, so it always runs in the worker thread. A built-in
    loader's model is `steady`: it only computes. Once it has been seen to be quick, a request that is no
    larger than one before is predicted in the caller's thread, which saves the handing over.
    """

    steady = False
    remaining_ms: Callable[[], float] | None = None
    stuck: Stuck | None = None
    _worker: Worker | None = None
    _largest = 0  # numbers in the largest request that was predicted
    _slowest_s = 0.0

    def predict(self, request: Request) -> Result:
        """What the model answers.

        Raises:
            WireError: as `Service.predict`; ``out_of_time``; ``prediction_failed`` with the reason when
                the handler wrote where nothing can be written.
        """
        try:
            if self.remaining_ms is None:
                return super().predict(request)
            return self._in_time(request, seconds_for(self.remaining_ms()))
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            message = "the handler wrote to the function's read-only file system"
            raise WireError("prediction_failed", message, f"mend the handler: {WRITABLE}") from error
        except Stuck as error:
            self.stuck = error
            raise

    def _in_time(self, request: Request, seconds: float) -> Result:
        started = time.perf_counter()
        numbers = _count(request.inputs)
        try:
            if self.steady and numbers <= self._largest and self._slowest_s * _QUICK < seconds:
                return super().predict(request)
            if self._worker is None:
                self._worker = Worker()
            ahead = super().predict
            found: Result = self._worker.run(lambda: ahead(request), seconds)
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
