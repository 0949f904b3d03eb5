"""What both clients do, step by step, without a socket and without waiting.

A call is a generator: it yields a `Send` or a `Pause`, whoever drives it does that in its own way (blocking
or awaiting) and sends back the `Answer` or the `Failure`. So there is one place that decides about retries.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from clouddeploy.client.address import Address
from clouddeploy.client.answers import refused, retry_after_s, told_by
from clouddeploy.client.breaker import Breaker, Circuit
from clouddeploy.client.http1 import Answer, request_bytes
from clouddeploy.client.retries import Budget, Retries
from clouddeploy.errors import CloudDeployError, CloudError, Timeout

T = TypeVar("T")
GATEWAY = frozenset((502, 503, 504))
BUSY = frozenset((429, 503))
DAY_MS = 24 * 3600 * 1000
"""The most that clouddeploy's server takes as ``x-timeout-ms``, after which it drops a request that waits."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes and wait for the answer, until `deadline` on the client's clock."""

    data: bytes
    deadline: float
    bodiless: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer came.

    Args:
        kind: ``unsent``: nothing reached the server; ``lost``: the connection broke afterwards; ``slow``:
            no bytes for too long; ``late``: the call's whole time is over; ``malformed``: no HTTP came.
        error: what the transport said.
    """

    kind: Literal["unsent", "lost", "slow", "late", "malformed"]
    error: Exception


Outcome = Answer | Failure | None
Steps = Generator[Send | Pause, Outcome, T]


@dataclass(frozen=True)
class Clock:
    """Time and chance, so that tests need neither.

    Args:
        now: seconds, monotonic.
        wall: seconds since 1970.
        chance: a number from 0 to 1.
    """

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, to be sent once or several times.

    Args:
        method: of HTTP.
        path: below the address.
        headers: its own, beside the client's.
        body: its bytes.
        repeatable: it does no harm when the server gets it twice.
        request_id: the same for every attempt.
        deadline: on the client's clock.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    repeatable: bool
    request_id: str
    deadline: float


class Caller:
    """Makes the steps of calls to one server; shared by threads.

    Args:
        address: of the server.
        headers: sent with every request; made anew for each, since tokens expire.
        retries: when a request is sent again.
        breaker: when it isn't sent at all.
        clock: of the client.
    """

    def __init__(
        self,
        address: Address,
        headers: Callable[[], Mapping[str, str]],
        retries: Retries,
        breaker: Breaker,
        clock: Clock,
    ) -> None:
        self.address = address
        self.clock = clock
        self.circuit = Circuit(breaker, clock.now)
        self._headers = headers
        self._retries = retries
        self._budget = Budget()

    def forked(self) -> None:
        """In a new process: begin with locks of its own."""
        self.circuit.forked()
        self._budget.forked()

    def call(self, ask: Ask) -> Steps[Answer]:
        """Send `ask` until it is answered or not worth sending again; an answer of success.

        Raises:
            CloudDeployError: by what went wrong last.
        """
        for attempt in range(1, self._retries.attempts + 1):
            outcome = yield from self._attempt(ask)
            if isinstance(outcome, Answer) and outcome.status < 300:
                self._budget.succeeded()
                return outcome
            pause_s = self._pause_s(outcome, ask, attempt)
            if pause_s is None:
                break
            yield Pause(pause_s)
        raise self._error(outcome, ask, attempt)

    def _attempt(self, ask: Ask) -> Steps[Answer | Failure]:
        left_ms = min(max(1, int((ask.deadline - self.clock.now()) * 1000)), DAY_MS)
        named = {"x-request-id": ask.request_id, "x-timeout-ms": str(left_ms)}
        headers = {**self._headers(), **ask.headers, **named}
        target = self.address.prefix + ask.path
        data = request_bytes(ask.method, target, self.address.authority, headers, ask.body)
        self.circuit.enter(str(self.address))
        known = False
        try:
            outcome = yield Send(data, ask.deadline, ask.method == "HEAD")
            known = True
        finally:
            if not known:
                self.circuit.left()
        assert isinstance(outcome, Answer | Failure)
        if isinstance(outcome, Failure) or _from_a_proxy(outcome):
            self.circuit.failed()
        else:
            self.circuit.answered()
        return outcome

    def _pause_s(self, outcome: Answer | Failure, ask: Ask, attempt: int) -> float | None:
        """Seconds until `ask` is sent again; None when it isn't."""
        if attempt == self._retries.attempts or not self._may_repeat(outcome, ask):
            return None
        pause_s = self._retries.pause_s(attempt, self.clock.chance())
        if isinstance(outcome, Answer):
            told_s = retry_after_s(outcome, self.clock.wall()) or 0.0
            if told_s > self._retries.most_s:
                return None
            pause_s = max(pause_s, told_s)
        if self.clock.now() + pause_s >= ask.deadline or not self._budget.take():
            return None
        return pause_s

    def _may_repeat(self, outcome: Answer | Failure, ask: Ask) -> bool:
        if isinstance(outcome, Failure):
            if outcome.kind == "unsent":
                return not isinstance(outcome.error, ssl.SSLError)
            return outcome.kind == "lost" and ask.repeatable
        if outcome.status in BUSY:  # refused before the model saw it, unless the model ran out of time
            return told_by(outcome.body)["code"] != "out_of_time"
        return outcome.status in GATEWAY and ask.repeatable

    def _error(self, outcome: Answer | Failure, ask: Ask, attempts: int) -> CloudDeployError:
        if isinstance(outcome, Answer):
            return refused(outcome, str(self.address), ask.request_id)
        tries = "" if attempts == 1 else f", {attempts} attempts"
        found = _failed(outcome, str(self.address), f"request {ask.request_id}{tries}")
        found.__cause__ = outcome.error
        return found


def _from_a_proxy(answer: Answer) -> bool:
    """Whether something in front of the server speaks, which itself answered nothing."""
    return answer.status in GATEWAY and not told_by(answer.body)["code"]


def _failed(failure: Failure, server: str, where: str) -> CloudDeployError:
    told = f"{where}: {failure.error or type(failure.error).__name__}"
    if failure.kind in ("slow", "late"):
        what = "for too long" if failure.kind == "slow" else "within the call's time"
        return Timeout(
            f"{server} didn't answer {what}", why=told, fix="give it longer: Client(timeouts=Timeouts(…))"
        )
    if failure.kind == "malformed":
        return CloudError(
            f"{server} answered something that is no HTTP/1.1",
            why=told,
            fix="see whether the address is a server's",
            code="malformed",
        )
    if isinstance(failure.error, ssl.SSLError):
        return CloudError(
            f"{server} can't be trusted or doesn't speak TLS",
            why=told,
            fix="correct its certificate, or give Client(tls=…) a context that trusts it",
            code="tls",
        )
    what = "can't be reached" if failure.kind == "unsent" else "closed the connection without an answer"
    return CloudError(f"{server} {what}", why=told, fix="see whether it runs", code=failure.kind)
