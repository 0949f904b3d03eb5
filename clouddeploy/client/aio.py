"""`AsyncClient`: predictions from a server, awaited."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from clouddeploy.client.blocking import ANSWER_LIMIT, IDEMPOTENT
from clouddeploy.client.breaker import Breaker
from clouddeploy.client.checks import check_transport
from clouddeploy.client.lines import Lines
from clouddeploy.client.predicting import Predicting, Token, reply, unmovable
from clouddeploy.client.retries import Retries
from clouddeploy.client.settings import Timeouts
from clouddeploy.client.steps import Clock, Outcome, Pause, Steps
from clouddeploy.spec import Reply

T = TypeVar("T")


class AsyncClient:
    """A client of a model server, for asyncio. Use it as an asynchronous context manager, or close it.

    Takes what `Client` takes, with `sleep` being awaited; many tasks of one event loop may share it.

    Raises:
        SpecError: an argument can't be used.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        version: str | int | None = None,
        path: str = "/predict",
        api_key: str | None = None,
        token: Token | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        breaker: Breaker | None = None,
        connections: int = 100,
        tls: ssl.SSLContext | None = None,
        answer_limit: int = ANSWER_LIMIT,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.connections = connections
        check_transport(self, connections, tls, answer_limit)
        self._sleep = sleep
        self._plan = Predicting(
            url,
            model=model,
            version=version,
            path=path,
            api_key=api_key,
            token=token,
            headers=headers,
            timeouts=timeouts,
            retries=retries,
            breaker=breaker,
            clock=clock,
        )
        self._lines = Lines(
            self._plan.address,
            self._plan.timeouts,
            tls,
            connections,
            answer_limit,
            (clock or Clock()).now,
        )

    async def predict(
        self, inputs: Any, *, request_id: str | None = None, timeout_s: float | None = None
    ) -> Any:
        """Predict for a batch; see `Client.predict`.

        Raises:
            CloudDeployError: as `Client.predict`.
        """
        return await self._run(self._plan.predict(inputs, request_id, timeout_s))

    async def predict_raw(
        self, body: bytes, *, content_type: str = "application/json", accept: str = "application/json"
    ) -> Reply:
        """Send bytes as the wire contract describes them, and return the answer's bytes.

        Raises:
            CloudDeployError: as `Client.predict`.
        """
        return reply(await self._run(self._plan.send(body, content_type, accept)))

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send any request.

        Raises:
            CloudDeployError: as `Client.predict`.
        """
        ask = self._plan.ask(method, path, body, headers, repeatable=method in IDEMPOTENT)
        return reply(await self._run(self._plan.caller.call(ask)))

    async def ready(self) -> bool:
        """Whether the server says that it can predict; False also when it doesn't answer."""
        return await self._run(self._plan.ready())

    @property
    def circuit(self) -> str:
        """``closed``, ``open`` (calls fail at once) or ``half-open`` (the next one is tried)."""
        return self._plan.caller.circuit.state

    async def _run(self, steps: Steps[T]) -> T:
        outcome: Outcome = None
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, Pause):
                    await self._sleep(step.seconds)
                    outcome = None
                else:
                    outcome = await self._lines.exchange(step)
        except StopIteration as end:
            found: T = end.value
            return found
        finally:
            steps.close()

    async def close(self) -> None:
        """Close the connections; the next call would open new ones."""
        await self._lines.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(unmovable(self))

    def __repr__(self) -> str:
        return f"AsyncClient({str(self._plan.address)!r})"
