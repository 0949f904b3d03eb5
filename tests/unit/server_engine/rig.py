"""An engine around a function, a clock that stands still, and callers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np

from clouddeploy.runtime.decode import Request
from clouddeploy.runtime.service import Service
from clouddeploy.runtime.signature import Signature, Tensor
from clouddeploy.server.engine.batching import Engine, Outcome

FLOATS = Signature((Tensor("x", "float32", (None, 2)),), (Tensor("y", "float32", (None, 2)),))
FREE = Signature((Tensor("x", "float32", (None, None)),), ())


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Caller:
    """Who waits."""

    id = "caller"

    def __init__(self, started: float = 100.0) -> None:
        self.gone = False
        self.started = started


class Model:
    """Doubles what it gets; keeps the batches.

    Args:
        act: called with each batch first.
    """

    def __init__(self, act: Callable[[Any], Any] | None = None) -> None:
        self.batches: list[Any] = []
        self._act = act

    def __call__(self, inputs: Any) -> Any:
        self.batches.append(inputs)
        if self._act is not None:
            found = self._act(inputs)
            if found is not None:
                return found
        return {n: a * 2 for n, a in inputs.items()} if isinstance(inputs, dict) else inputs * 2

    @property
    def sizes(self) -> list[int]:
        """Examples of each batch."""
        return [len(next(iter(b.values())) if isinstance(b, dict) else b) for b in self.batches]


def engine_of(
    model: Any,
    signature: Signature = FLOATS,
    *,
    max_batch: int = 4,
    max_delay_ms: float = 0,
    queue: int = 100,
    timeout_ms: float = 0,
    max_wait_ms: float = 0,
    clock: Callable[[], float] | None = None,
    fast: bool = True,
) -> Engine:
    """An engine for `model`, which it takes for fast or slow from the start."""
    engine = Engine(
        Service(model, signature),
        max_batch=max_batch,
        max_delay_ms=max_delay_ms,
        queue=queue,
        timeout_ms=timeout_ms,
        max_wait_ms=max_wait_ms,
        clock=clock or Clock(),
    )
    if fast:
        engine._pace.begin(1, 1e-6)
    return engine


def rows(*values: float, single: bool = False) -> Request:
    """A request with one example a value."""
    return Request(np.array([[value, value] for value in values], np.float32), len(values), single)


class Answers:
    """What came of each request, by its number."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.found: dict[int, Outcome] = {}
        self._count = 0

    def ask(self, request: Any, deadline: float | None = None, **more: Any) -> int:
        """Submit; the number of the request."""
        number = self._count
        self._count += 1
        self.engine.submit(request, deadline, lambda outcome: self.found.__setitem__(number, outcome), **more)
        return number

    def values(self, number: int) -> Any:
        """The predictions for a request."""
        outcome: Any = self.found[number]
        return outcome.outputs.tolist() if hasattr(outcome, "outputs") else outcome

    def code(self, number: int) -> str:
        """The error code for a request."""
        outcome: Any = self.found[number]
        return str(outcome.code)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.002 if _ > 50 else 0)
    raise AssertionError("it never came to be")


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` in a loop of its own."""
    asyncio.run(work)
