"""A batch of jobs to what comes of each: joined, predicted, parted; a bad example fails alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clouddeploy.runtime.decode import Arrays, Request
from clouddeploy.runtime.encode import Result
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.service import log_failure, prediction_failed
from clouddeploy.server.engine.fast import FastJson
from clouddeploy.server.engine.fast import body as body_of
from clouddeploy.server.engine.jobs import Call, Job, Outcome, Returned, Rows, Texts, out_of_time

if TYPE_CHECKING:
    from clouddeploy.runtime.service import Service

GIVEN_UP = 3
"""Batches in a row that failed while each example alone was answered: the model takes no batches."""
log = logging.getLogger(__name__)


class Predictor:
    """Runs batches through a model. Knows nothing of time, threads or loops.

    Args:
        service: decodes and predicts.
        fast: reads and writes JSON fast; None where the model isn't of that kind.

    Attributes:
        together: several requests may be one batch.
    """

    def __init__(self, service: Service, fast: FastJson | None) -> None:
        self._service, self._fast = service, fast
        self.together = True
        self._failed = 0

    def run(self, jobs: list[Job]) -> Sequence[Outcome]:
        """The outcome of each of `jobs`; never raises but for what ends the process."""
        if self._fast is not None and type(jobs[0].request) is Rows:
            found = self._run_rows(self._fast, jobs)
            if found is not None:
                return found
        if len(jobs) == 1:
            return [self._alone(jobs[0])]
        return self._run_requests(jobs)

    def _run_rows(self, fast: FastJson, jobs: list[Job]) -> list[Outcome] | None:
        """The bodies for requests that were read fast; None when one of them needs the thorough way."""
        values: list[Any] = []
        for job in jobs:
            if type(job.request) is not Rows:
                return None
            values += job.request.values
        array = fast.array(values)
        if array is None:
            return None
        try:
            outputs = self._service.predict(Request(array, len(values))).outputs
        except BaseException as error:  # noqa: BLE001  # the handler is anybody's code
            return [_failure(jobs[0], error)] if len(jobs) == 1 else None
        rows = fast.write(outputs)
        if rows is None:
            return _parted(outputs, jobs)
        found: list[Outcome] = []
        at = 0
        for job in jobs:
            request: Any = job.request
            if request.apart:
                if isinstance(outputs, dict):  # which have no one text
                    return _parted(outputs, jobs)
                found.append(Texts(rows[at : at + job.size], outputs.dtype.name, outputs.shape[1:]))
                at += job.size
            elif request.single:
                found.append(b'{"prediction":%b}' % rows[at])
                at += 1
            elif job.size == 1:
                found.append(b'{"predictions":[%b]}' % rows[at])
                at += 1
            else:
                found.append(body_of(rows[at : at + job.size], single=False))
                at += job.size
        return found

    def _run_requests(self, jobs: list[Job]) -> list[Outcome]:
        requests: list[Request | WireError] = [self._request(job) for job in jobs]
        good = [(job, r) for job, r in zip(jobs, requests, strict=True) if isinstance(r, Request)]
        found = self._run_batch(good) if len(good) > 1 else None
        if found is None:
            found = [self._alone(job) for job, _ in good]
            if len(good) > 1:
                self._learn(found)
        else:
            self._failed = 0
        answers = iter(found)
        return [next(answers) if isinstance(request, Request) else request for request in requests]

    def _run_batch(self, good: list[tuple[Job, Request]]) -> list[Outcome] | None:
        try:
            whole = joined([request.inputs for _, request in good])
            outputs = self._service.predict(Request(whole, sum(r.size for _, r in good))).outputs
        except BaseException:  # noqa: BLE001  # one bad example must not fail the others
            return None
        return _parted(outputs, [job for job, _ in good])

    def _learn(self, alone: list[Outcome]) -> None:
        """Whether the model takes batches at all: each was answered, but not together."""
        if any(isinstance(outcome, WireError) for outcome in alone):
            return
        self._failed += 1
        if self._failed == GIVEN_UP and self.together:
            self.together = False
            log.warning("the model fails on batches and answers each request alone: batching is off for it")

    def _request(self, job: Job) -> Request | WireError:
        """What is asked, as arrays."""
        request = job.request
        if isinstance(request, Request):
            return request
        assert isinstance(request, Rows)
        array = None if self._fast is None else self._fast.array(request.values)
        if array is not None:
            return Request(array, job.size, request.single)
        try:
            return job.read_again(self._service)
        except WireError as error:
            return error

    def _alone(self, job: Job) -> Outcome:
        if job.over or (job.caller is not None and job.caller.gone):
            return out_of_time()  # nobody hears it
        try:
            if isinstance(job.request, Call):
                return Returned(job.request.act())
            request = self._request(job)
            return request if isinstance(request, WireError) else self._service.predict(request)
        except BaseException as error:  # noqa: BLE001  # the handler is anybody's code
            return _failure(job, error)


def _failure(job: Job, error: BaseException) -> WireError:
    """The answer to a request on which the model's code failed; to be called while `error` is handled."""
    if isinstance(error, WireError) and error.status < 500:
        return error
    log_failure(job.request_id)
    return error if isinstance(error, WireError) else prediction_failed(job.request_id)


def joined(inputs: list[Arrays]) -> Arrays:
    """Several batches as one."""
    first = inputs[0]
    if isinstance(first, dict):
        return {name: np.concatenate([one[name] for one in inputs]) for name in first}
    return np.concatenate(inputs)  # type: ignore[arg-type]


def _parted(outputs: Any, jobs: Sequence[Job]) -> list[Outcome]:
    found: list[Outcome] = []
    at = 0
    for job in jobs:
        end = at + job.size
        if isinstance(outputs, dict):
            part: Arrays = {name: rows[at:end] for name, rows in outputs.items()}
        else:
            part = outputs[at:end]
        found.append(Result(part, job.request.single))
        at = end
    return found


def kept(outcome: Outcome) -> Outcome:
    """`outcome` with arrays of its own: a model may use those that it returned for its next answer."""
    if not isinstance(outcome, Result):
        return outcome
    outputs = outcome.outputs
    if isinstance(outputs, dict):
        return Result({name: array.copy() for name, array in outputs.items()}, outcome.single)
    return Result(outputs.copy(), outcome.single)
