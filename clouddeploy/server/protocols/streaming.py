"""Predictions that come bit by bit: server-sent events, or a line of JSON for each.

"Server-sent events" (WHATWG HTML): an event for each prediction in the wire contract's JSON, ``event: end``
after the last, ``event: error`` where the model fails on the way. Lines: a prediction each; one with an
``error`` is the last; a response that is cut before its end isn't complete (RFC 9112, section 8).

Each step of the model's generator runs where the model's batches run, never beside them, and only when the
client has taken what came before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.decode import JSON, Request
from clouddeploy.runtime.errors import WireError
from clouddeploy.server.engine.jobs import Call, Outcome, Returned
from clouddeploy.server.message import Headers, refusal

if TYPE_CHECKING:
    from clouddeploy.server.engine import Engine
    from clouddeploy.server.exchange import Exchange, Stream
    from clouddeploy.server.models import Loaded

EVENTS, LINES = "text/event-stream", "application/x-ndjson"
KINDS = frozenset((EVENTS, LINES))
"""Values of Accept that ask for a stream."""
HEADERS: Headers = (("cache-control", "no-store"), ("x-accel-buffering", "no"))
"""No cache keeps a stream, and no proxy gathers it before it passes it on."""
AGAIN_S = 0.05
log = logging.getLogger(__name__)


async def in_model(engine: Engine, act: Callable[[], Any], request_id: str) -> Any:
    """What `act` returns when it is called where the model runs.

    Raises:
        WireError: what it raised, or ``prediction_failed`` after anything else; ``overloaded``.
    """
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(outcome: Outcome) -> None:
        if answered.done():  # nobody waits any more
            return
        if isinstance(outcome, Returned):
            answered.set_result(outcome.value)
        else:
            assert isinstance(outcome, WireError)
            answered.set_exception(outcome)

    # Without a caller: of who is gone the engine would say nothing, and a generator is to be closed then.
    engine.submit(Call(act), None, done, request_id)
    return await answered


class Streams:
    """The streams of one worker.

    Args:
        limit: that run at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0

    async def answer(self, loaded: Loaded, request: Request, exchange: Exchange, headers: Headers) -> None:
        """Answer `request` with what the model gives, as it comes.

        Raises:
            WireError: too many streams run already.
        """
        if self._running >= self._limit:
            raise WireError("overloaded", f"{self._limit} streams run already", "try again a little later")
        self._running += 1
        exchange.batch = request.size
        try:
            await _Run(loaded, request, exchange, headers).run()
        finally:
            self._running -= 1


class _Run:
    """One stream, in the event loop; the model's part is done where the model runs."""

    def __init__(self, loaded: Loaded, request: Request, exchange: Exchange, headers: Headers) -> None:
        self._loaded, self._exchange, self._headers = loaded, exchange, headers
        self._items = loaded.service.stream(request)
        self._kind = EVENTS if EVENTS in exchange.request.headers.get("accept", "") else LINES
        self._stream: Stream | None = None

    async def run(self) -> None:
        """Ask the model for one prediction after another, each when the client has taken the last."""
        count = 0
        try:
            while (data := await self._ask(self._step)) is not None:
                if not await self._write(self._framed(data)):
                    return
                count += 1
            await self._write(self._framed(b'{"items":%d}' % count, b"end") if self._kind == EVENTS else b"")
        except WireError as error:
            if self._stream is None:
                self._exchange.reply(refusal(error, self._headers))
            else:
                await self._write(self._framed(error.body(), b"error"))
        except asyncio.CancelledError:
            if self._stream is not None:
                self._stream.abort()
            raise
        finally:
            if self._stream is not None:
                self._stream.close()
            await self._close()

    def _step(self) -> bytes | None:
        item = next(self._items, None)
        return None if item is None else self._loaded.service.encode(item, JSON)[0]

    async def _ask(self, act: Callable[[], Any]) -> Any:
        """Let `act` be called; once something was sent, a full queue is waited for."""
        while True:
            try:
                return await in_model(self._loaded.engine, act, self._exchange.id)
            except WireError as error:
                if error.code != "overloaded" or self._stream is None:
                    raise
            await asyncio.sleep(AGAIN_S)

    def _framed(self, data: bytes, event: bytes = b"") -> bytes:
        if self._kind == LINES:
            return data + b"\n"
        return (b"event: %b\n" % event if event else b"") + b"data: %b\n\n" % data

    async def _write(self, data: bytes) -> bool:
        """Send `data`, and wait until the client has taken it; False when it went away."""
        if self._stream is None:
            if self._exchange.gone:
                return False
            self._stream = self._exchange.stream(200, self._kind, (*HEADERS, *self._headers))
        self._stream.write(data)
        await self._stream.drained()
        return not self._stream.closed

    async def _close(self) -> None:
        """End the model's generator, which may have something to put away."""
        try:
            await self._ask(self._items.close)
        except WireError as error:
            log.info("the generator of %s wasn't closed in order: %s", self._exchange.id, error)
