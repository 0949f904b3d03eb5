"""The application of one worker: what every request passes on its way to an endpoint and back."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import time
from collections.abc import Awaitable, Callable

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.connection import Connection
from clouddeploy.server.crowd import room
from clouddeploy.server.exchange import Exchange
from clouddeploy.server.heads import Heads
from clouddeploy.server.message import Head, Headers, Response, ResponseHeads, refusal
from clouddeploy.server.models import Models
from clouddeploy.server.routing import Routes
from clouddeploy.server.settings import ServerSettings

TICK_S = 0.5
SLICE = 500
"""Connections that are looked at in one turn of the event loop."""
QUIET_S, TURN_S, LATE_S = 1.0, 0.02, 0.1
"""While draining: how long nothing may have happened, how often that is looked at, what is a late look."""
EXTENSIONS = (
    "clouddeploy.server.guards",
    "clouddeploy.server.protocols",
    "clouddeploy.server.models.admin",
    "clouddeploy.server.engine.hanging",
    "clouddeploy.server.engine.growing",
    "clouddeploy.server.observing",
)
"""Modules whose ``install(app)`` adds what the settings switch on, in this order."""
log = logging.getLogger(__name__)
Adding = Callable[[Exchange], Headers]
HeadGuard = Callable[[Head, str], Response | None]
Guard = Callable[[Exchange], Response | None]
Watcher = Callable[[Exchange, Response], None]
Step = Callable[[], Awaitable[None]]
Frame = Callable[[WireError], Response]
FAILED = WireError("prediction_failed", "the server failed on this request", "see the server's log")


class App:
    """Answers requests. Lives in one worker and its event loop.

    Args:
        settings: how to behave.

    Attributes:
        routes: the endpoints.
        at_head: guards that see the head and the peer alone, before a body that takes its time.
        adding: each gives headers that every response to an exchange has besides.
        before: guards; the first that has a response, or a refusal to raise, answers.
        frames: how errors are told below a path, where that isn't the wire contract's way.
        after: told of each response when it is sent.
        on_start: awaited before the worker is ready.
        on_leave: begun when no more requests are to be taken, beside those that are answered still.
        on_stop: awaited when every request is answered.
        models: what can predict.
        connections: those that are open.
        room: how many there may be.
        held: bytes of bodies that aren't complete.
        draining: no connection is kept any more.
        ready: every model has answered a warm-up request.
        now: the loop's time, at most half a second old.
        slow: started requests whose endpoint is a coroutine.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.heads = Heads(compressed=settings.inflate)
        self.response_heads = ResponseHeads()
        self.routes = Routes()
        self.at_head: list[HeadGuard] = []
        self.adding: list[Adding] = []
        self.before: list[Guard] = []
        self.frames: dict[str, Frame] = {}
        self.after: list[Watcher] = []
        self.on_start: list[Step] = []
        self.on_leave: list[Step] = []
        self.on_stop: list[Step] = []
        self.models = Models(settings)
        self.connections: set[Connection] = set()
        self.room = settings.max_connections
        self.held = 0
        self.draining = False
        self.ready = False
        self.now = 0.0
        self.slow: set[asyncio.Task[None]] = set()

    def extend(self) -> None:
        """Add what the settings switch on."""
        for name in EXTENSIONS:
            importlib.import_module(name).install(self)

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        try:
            for guard in self.before:
                response = guard(exchange)
                if response is not None:
                    exchange.reply(response)
                    return
            head = exchange.request.head
            route = head.route or head.routed(self.routes.find(head.method, head.path))
            if route.values:
                exchange.attributes.update(route.values)
            waiting = route.endpoint(exchange)
            if waiting is not None:
                self._follow(exchange, waiting)
        except WireError as error:
            exchange.reply(self.frame(error, exchange.request.head.path))
        except Exception:  # noqa: BLE001  # a bug of ours costs one request, not the worker
            self._failed(exchange)

    def _follow(self, exchange: Exchange, waiting: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await waiting
            except WireError as error:
                exchange.reply(self.frame(error, exchange.request.head.path))
            except asyncio.CancelledError:
                exchange.reply(self.frame(FAILED, exchange.request.head.path))
                raise
            except Exception:  # noqa: BLE001  # as above
                self._failed(exchange)

        task = asyncio.ensure_future(run()) if inspect.isawaitable(waiting) else None
        if task is not None:
            self.slow.add(task)
            task.add_done_callback(self.slow.discard)

    def _failed(self, exchange: Exchange) -> None:
        log.exception("request %s failed", exchange.id)
        exchange.fail(self.frame(FAILED, exchange.request.head.path))

    def frame(self, error: WireError, path: str) -> Response:
        """The answer to `error` as the protocol of a path has it."""
        for beginning, frame in self.frames.items():
            if path == beginning or path.startswith(beginning + "/"):
                return frame(error)
        return refusal(error)

    def early(self, head: Head, peer: str) -> Response | None:
        """The answer to a request whose body is still to come, where its head is reason enough for one."""
        try:
            for guard in self.at_head:
                response = guard(head, peer)
                if response is not None:
                    return response
        except WireError as error:
            return self.frame(error, head.path)
        except Exception:
            log.exception("a guard failed on the head of a request to %s", head.path)
            return self.frame(FAILED, head.path)
        return None

    def refused(self, exchange: Exchange, response: Response) -> None:
        """Answer what isn't a request that an endpoint could see."""
        exchange.reply(response)

    def answered(self, exchange: Exchange, response: Response) -> None:
        """A response goes out."""
        try:
            for watcher in self.after:
                watcher(exchange, response)
        except Exception:  # who watches must not keep an answer from its client
            log.exception("a watcher of request %s failed", exchange.id)

    def added(self, exchange: Exchange, headers: Headers) -> Headers:
        """`headers`, and what others add to them."""
        for adding in self.adding:
            headers = (*headers, *adding(exchange))
        return headers

    def left(self, exchange: Exchange) -> None:
        """A client went away before its answer."""
        if not exchange.status:
            exchange.attributes["gone"] = True

    async def start(self) -> None:
        """Load and warm up; afterwards `ready`."""
        self.room = room(self.settings.max_connections)
        for step in self.on_start:
            await step()
        await self.models.start()
        self.ready = True

    async def tick(self, pause_s: float = TICK_S) -> None:
        """Keep the time, and end connections that are too slow, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self.now = loop.time()
            self.response_heads.date(time.time())
            await asyncio.sleep(pause_s)
            for number, connection in enumerate(list(self.connections), 1):
                connection.expire(self.now)
                if number % SLICE == 0:
                    await asyncio.sleep(0)  # ten thousand at once would keep a request waiting

    async def _quiet(self, seconds: float) -> None:
        """Return when no request has been under way for a while, or `seconds` are over.

        A turn of the loop that came late tells nothing: what arrived meanwhile hasn't been read yet.
        """
        loop = asyncio.get_running_loop()
        last = before = loop.time()
        end, quiet_s = last + seconds, min(QUIET_S, seconds / 2)
        while self.connections and before < end and before - last < quiet_s:
            await asyncio.sleep(TURN_S)
            now = loop.time()
            if now - before > LATE_S or any(not one.idle for one in self.connections):
                last = now
            before = now

    async def drain(self, seconds: float) -> None:
        """Answer what was accepted, then close every connection.

        A connection without a request may have one under way to us, so it is closed a moment later.
        """
        self.draining = True
        self.ready = False
        leaving = [asyncio.ensure_future(step()) for step in self.on_leave]
        await self._quiet(seconds)
        cut = sum(one.exchange is not None for one in self.connections)
        if cut:
            log.error("unanswered requests that are cut after %g s: %d", seconds, cut)
        for connection in list(self.connections):
            connection.close()
        for task in list(self.slow):
            task.cancel()
        await asyncio.gather(*leaving)
        for step in self.on_stop:
            await step()
        await self.models.stop()
