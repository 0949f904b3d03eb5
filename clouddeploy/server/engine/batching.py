"""Forms batches while the model is busy, so that an idle server adds no delay.

A fast model runs in the event loop: requests that arrived in one turn of it form the batch, and no
thread is waited for. A slow one runs in a thread of its own, and its next batch forms meanwhile.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clouddeploy.runtime.decode import JSON, Arrays, Request
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.service import log_failure, prediction_failed
from clouddeploy.server.engine.fast import FastJson, Rows
from clouddeploy.server.engine.fast import body as body_of

if TYPE_CHECKING:
    from clouddeploy.runtime.service import Service

Outcome = bytes | Result | WireError
"""A JSON body that is written already, or predictions that are to be written, or a refusal."""
Done = Callable[[Outcome], None]
FAST_S = 0.002
"""A model that answers one example within this runs in the event loop."""


@dataclass(slots=True)
class Job:
    """One request that waits for its predictions."""

    request: Request | Rows
    deadline: float | None
    done: Done
    request_id: str
    body: bytes


class Engine:
    """Answers for one version of a model in one worker.

    Args:
        service: predicts.
        max_batch: examples of one call at the most; a larger request is a batch of its own.
        max_delay_ms: milliseconds that an idle model waits for more requests.
        queue: examples that may wait.
        clock: seconds; deadlines are in its time.
    """

    def __init__(
        self,
        service: Service,
        *,
        max_batch: int,
        max_delay_ms: float,
        queue: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service, self._clock = service, clock
        self.fast = FastJson.of(service.signature)
        self._max_batch, self._delay_s, self._limit = max_batch, max_delay_ms / 1000, queue
        self._waiting: deque[Job] = deque()
        self._examples = 0
        self._scheduled = False
        self.example_s = 0.0
        self.threaded = False
        self._thread: threading.Thread | None = None

    def warm_up(self) -> None:
        """Predict on the signature's example, measure, and choose where the model runs."""
        tensors = self._service.signature.inputs
        if not tensors or any(tensor.dtype == "str" for tensor in tensors):
            return
        arrays = {t.name: np.zeros([1, *(n or 1 for n in t.shape[1:])], t.dtype) for t in tensors}
        request = Request(arrays if len(arrays) > 1 else arrays[tensors[0].name], 1)
        for _ in range(3):
            began = time.perf_counter()
            self._service.predict(request)
            self.example_s = time.perf_counter() - began
        self.threaded = self.example_s > FAST_S

    def submit(
        self,
        request: Request | Rows,
        deadline: float | None,
        done: Done,
        request_id: str = "",
        body: bytes = b"",
    ) -> None:
        """Answer `request` by calling `done` in the event loop.

        Args:
            request: what was asked.
            deadline: by when, in the clock's time.
            done: told what came of it.
            request_id: for the log.
            body: the bytes of rows that were read fast, to be read thoroughly when they don't fit.

        Raises:
            WireError: ``overloaded``: too many examples wait already.
        """
        if self._examples + request.size > self._limit and self._waiting:
            raise WireError("overloaded", "too many requests wait for the model", "try again a little later")
        self._waiting.append(Job(request, deadline, done, request_id, body))
        self._examples += request.size
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        jobs: list[Job] = []
        size = 0
        while self._waiting and (not jobs or size + self._waiting[0].request.size <= self._max_batch):
            job = self._waiting.popleft()
            size += job.request.size
            jobs.append(job)
        self._examples -= size
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._flush)
        for job, outcome in zip(jobs, self._predict(jobs), strict=True):
            job.done(outcome)

    def _predict(self, jobs: list[Job]) -> Sequence[Outcome]:
        if self.fast is not None and all(type(job.request) is Rows for job in jobs):
            found = self._predict_rows(self.fast, jobs)
            if found is not None:
                return found
        if len(jobs) == 1:
            return [self._alone(jobs[0])]
        try:
            requests = [self._thorough(job) for job in jobs]
            joined = _joined([request.inputs for request in requests])
            outputs = self._service.predict(Request(joined, sum(r.size for r in requests))).outputs
        except Exception:  # noqa: BLE001  # one bad example must not fail the others
            return [self._alone(job) for job in jobs]
        return _parted(outputs, requests)

    def _predict_rows(self, fast: FastJson, jobs: list[Job]) -> list[Outcome] | None:
        """The bodies for requests that were read fast; None when one of them needs the thorough way."""
        values = [row for job in jobs for row in job.request.values]  # type: ignore[union-attr]
        array = fast.array(values)
        if array is None:
            return None
        try:
            outputs = self._service.predict(Request(array, len(values))).outputs
        except Exception:  # noqa: BLE001  # found out one by one
            return None
        rows = fast.write(outputs)
        if rows is None:
            return list(_parted(outputs, [Request(array, j.request.size, _single(j)) for j in jobs]))
        found: list[Outcome] = []
        at = 0
        for job in jobs:
            end = at + job.request.size
            found.append(body_of(rows[at:end], single=_single(job)))
            at = end
        return found

    def _thorough(self, job: Job) -> Request:
        return job.request if isinstance(job.request, Request) else self._service.decode(job.body, JSON)

    def _alone(self, job: Job) -> Outcome:
        try:
            return self._service.predict(self._thorough(job))
        except WireError as error:
            return error
        except (Exception, SystemExit):  # noqa: BLE001  # the handler is anybody's code
            log_failure(job.request_id)
            return prediction_failed(job.request_id)

    def close(self) -> None:
        """End it; what waits is refused."""
        while self._waiting:
            self._waiting.popleft().done(WireError("not_ready", "the model is unloaded", "try again"))


def _joined(inputs: list[Arrays]) -> Arrays:
    first = inputs[0]
    if isinstance(first, dict):
        return {name: np.concatenate([one[name] for one in inputs]) for name in first}
    return np.concatenate(inputs)  # type: ignore[arg-type]


def _single(job: Job) -> bool:
    return job.request.single


def _parted(outputs: Any, requests: Sequence[Request]) -> list[Outcome]:
    found: list[Outcome] = []
    at = 0
    for request in requests:
        end = at + request.size
        if isinstance(outputs, dict):
            found.append(Result({name: rows[at:end] for name, rows in outputs.items()}, request.single))
        else:
            found.append(Result(outputs[at:end], request.single))
        at = end
    return found
