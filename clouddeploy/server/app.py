"""The application of one worker: what every request passes on its way to an endpoint and back."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.connection import Connection
from clouddeploy.server.exchange import Exchange
from clouddeploy.server.heads import Heads
from clouddeploy.server.message import Response, ResponseHeads, refusal
from clouddeploy.server.models import Models
from clouddeploy.server.routing import Routes
from clouddeploy.server.settings import ServerSettings

TICK_S = 0.5
log = logging.getLogger(__name__)
Guard = Callable[[Exchange], Response | None]
Watcher = Callable[[Exchange, Response], None]
Step = Callable[[], Awaitable[None]]
FAILED = WireError("prediction_failed", "the server failed on this request", "see the server's log")


class App:
    """Answers requests. Lives in one worker and its event loop.

    Args:
        settings: how to behave.

    Attributes:
        routes: the endpoints.
        before: guards; the first that has a response answers.
        after: told of each response when it is sent.
        on_start: awaited before the worker is ready.
        on_stop: awaited when every request is answered.
        models: what can predict.
        connections: those that are open.
        draining: no connection is kept any more.
        ready: every model has answered a warm-up request.
        now: the loop's time, at most half a second old.
        slow: started requests whose endpoint is a coroutine.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.heads = Heads()
        self.response_heads = ResponseHeads()
        self.routes = Routes()
        self.before: list[Guard] = []
        self.after: list[Watcher] = []
        self.on_start: list[Step] = []
        self.on_stop: list[Step] = []
        self.models = Models(settings)
        self.connections: set[Connection] = set()
        self.draining = False
        self.ready = False
        self.now = 0.0
        self.slow: set[asyncio.Task[None]] = set()

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        try:
            for guard in self.before:
                response = guard(exchange)
                if response is not None:
                    exchange.reply(response)
                    return
            request = exchange.request
            route = self.routes.find(request.method, request.path)
            if route.values:
                exchange.attributes.update(route.values)
            waiting = route.endpoint(exchange)
            if waiting is not None:
                self._follow(exchange, waiting)
        except WireError as error:
            exchange.reply(refusal(error))
        except Exception:  # noqa: BLE001  # a bug of ours costs one request, not the worker
            self._failed(exchange)

    def _follow(self, exchange: Exchange, waiting: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await waiting
            except WireError as error:
                exchange.reply(refusal(error))
            except asyncio.CancelledError:
                exchange.reply(refusal(FAILED))
                raise
            except Exception:  # noqa: BLE001  # as above
                self._failed(exchange)

        task = asyncio.ensure_future(run()) if inspect.isawaitable(waiting) else None
        if task is not None:
            self.slow.add(task)
            task.add_done_callback(self.slow.discard)

    def _failed(self, exchange: Exchange) -> None:
        log.exception("request %s failed", exchange.id)
        exchange.reply(refusal(FAILED))

    def refused(self, exchange: Exchange, response: Response) -> None:
        """Answer what isn't a request that an endpoint could see."""
        exchange.reply(response)

    def answered(self, exchange: Exchange, response: Response) -> None:
        """A response goes out."""
        for watcher in self.after:
            watcher(exchange, response)

    def left(self, exchange: Exchange) -> None:
        """A client went away before its answer."""
        if not exchange.status:
            exchange.attributes["gone"] = True

    async def start(self) -> None:
        """Load and warm up; afterwards `ready`."""
        for step in self.on_start:
            await step()
        await self.models.start()
        self.ready = True

    async def tick(self) -> None:
        """Keep the time, and end connections that are too slow, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self.now = loop.time()
            for connection in list(self.connections):
                connection.expire(self.now)
            await asyncio.sleep(TICK_S)

    async def drain(self, seconds: float) -> None:
        """Answer what was accepted, then close every connection.

        A connection without a request may have one under way to us, so it is closed a moment later.
        """
        self.draining = True
        self.ready = False
        loop = asyncio.get_running_loop()
        end, quiet = loop.time() + seconds, loop.time() + min(1.0, seconds / 2)
        while self.connections and loop.time() < end:
            busy = [c for c in self.connections if not c.idle]
            if not busy and loop.time() > quiet:
                break
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.close()
        for task in list(self.slow):
            task.cancel()
        for step in self.on_stop:
            await step()
        await self.models.stop()
