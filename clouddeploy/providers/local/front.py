"""The address of a service: takes requests and passes each on to a copy of a release in service.

It stands before the servers so that the address stays while releases come and go, shares are exact, and
a copy that leaves has no request under way to it. What it costs is told in docs/local.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from clouddeploy.providers.local import http
from clouddeploy.providers.local.asks import Asks
from clouddeploy.providers.local.backends import Backend, Lane, Lanes, Link
from clouddeploy.providers.local.counting import Counts
from clouddeploy.providers.local.express import Client, Streams
from clouddeploy.providers.local.http import BLOCK, Head, Refused

WHOLE = 1 << 20
"""Bytes up to which a request's body is held, so that it can be sent again over another connection."""
IDLE_S = 75.0
SLOW_S = 30.0
LINGER_S = 1.0
LOOK_S, ENDING_S = 0.5, 0.01
"""How often is looked for what takes too long, and, when ending, for what is still under way."""
BROKEN = (ConnectionError, asyncio.IncompleteReadError)
Log = Callable[[str], None]
NOBODY = Refused("not_ready", "no copy of the model is in service", "try again in a moment")


class Front:
    """Listens for clients.

    Args:
        log: takes what went wrong.

    Attributes:
        lanes: who gets the requests.
        counts: of all requests.
        timeout_s: seconds that a request may take.
    """

    def __init__(self, log: Log) -> None:
        self.lanes = Lanes()
        self.counts = Counts()
        self.timeout_s = 60.0
        self._log = log
        self.asks = Asks()
        self.clients: set[Client] = set()
        self.closing = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens."""
        if self._server is None or not self._server.sockets:
            return None
        host, port, *_ = self._server.sockets[0].getsockname()
        return str(host), int(port)

    async def listen(self, host: str, port: int) -> None:
        """Listen there; connections that are open stay so.

        Raises:
            OSError: the address can't be had.
        """
        before, self._server = self._server, None
        if before is not None:
            before.close()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Client(self), host, port, backlog=2048)
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        """End, for ever, what takes too long on the quick way."""
        while True:
            await asyncio.sleep(min(LOOK_S, self.timeout_s / 2))
            now = time.perf_counter()
            for client in list(self.clients):
                client.expire(now, self.timeout_s, IDLE_S, SLOW_S)

    async def close(self, patience_s: float) -> None:
        """Take no more, let what is under way end, and cut off what doesn't."""
        self.closing = True
        if self._server is not None:
            self._server.close()
        for task in list(self._waiting):
            task.cancel()
        end = time.monotonic() + patience_s
        while True:
            for client in [client for client in self.clients if client.idle]:
                client.close()
            if not (self._tasks or any(not client.idle for client in self.clients)):
                break
            if time.monotonic() >= end:
                break
            await asyncio.sleep(ENDING_S)
        if self._looking is not None:
            self._looking.cancel()
        for client in list(self.clients):
            client.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    def begin(self, what: Coroutine[Any, Any, None]) -> None:
        """Do it beside everything else."""
        task = asyncio.ensure_future(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def serve(self, streams: Streams) -> None:
        """Serve a client, from its next request on, until it goes."""

        async def first() -> bool:
            return True

        await self._guarded(streams, first)

    async def ask_again(
        self, streams: Streams, request: bytes, body_at: int, found: tuple[Lane, Backend], *, again: bool
    ) -> None:
        """Pass on a request that a copy broke off, or tell that it did; then serve the client."""
        reader, writer = streams
        head = http.request_of(request[:body_at])
        began = time.perf_counter()

        async def first() -> bool:
            if not again:
                error = self._broke_off("the connection ended before the answer")
                for counts in (found[0].counts, self.counts):
                    counts.add(error.status, 0.0)
                return await self._refuse(error, reader, writer)
            try:
                return await self._pass(head, request[body_at:], found, reader, writer, began)
            except Refused as error:
                return await self._refuse(error, reader, writer)

        await self._guarded(streams, first)

    async def give(
        self,
        streams: Streams,
        head: Head,
        found: tuple[Lane, Backend],
        copy: Streams,
        began: float,
    ) -> None:
        """Pass on an answer as it comes; then serve the client."""
        link = Link(*copy, used=True)

        async def first() -> bool:
            try:
                return await self._pass(head, b"", found, *streams, began, link=link)
            except Refused as error:
                return await self._refuse(error, *streams)

        await self._guarded(streams, first)

    async def refuse(self, streams: Streams, error: Refused) -> None:
        """Answer so, and end the connection."""
        await self._guarded(streams, lambda: self._refuse(error, *streams))

    async def _guarded(self, streams: Streams, first: Callable[[], Awaitable[bool]]) -> None:
        """Do `first`, then serve the client if that says so."""
        reader, writer = streams
        task = asyncio.current_task()
        assert task is not None
        try:
            more = await first()
            while more:
                more = await self._one(reader, writer, task)
        except (OSError, asyncio.IncompleteReadError):  # that of a time-out is one
            self._log("a client went away, or was too slow")
        except asyncio.CancelledError:  # asked for by `close`; asyncio would log it as an error
            writer.transport.abort()
        finally:
            writer.close()

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task[None]
    ) -> bool:
        """One request; whether another may follow."""
        began = time.perf_counter()
        try:
            data = await self._next_head(reader, task)
            if data is None:
                return False
            began = time.perf_counter()
            head = http.request_of(data)
            body = await self._body(head, reader, writer)
            found = self.lanes.pick()
            if found is None:
                raise NOBODY
        except Refused as error:
            self.counts.add(error.status, (time.perf_counter() - began) * 1e3)
            return await self._refuse(error, reader, writer)
        try:
            return await self._pass(head, body, found, reader, writer, began)
        except Refused as error:
            return await self._refuse(error, reader, writer)

    async def _refuse(
        self, error: Refused, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer, and end the connection.

        What the client still sends is taken: a connection with unread bytes ends so that it loses the answer.
        """
        writer.write(http.refusal(error))
        await writer.drain()
        writer.write_eof()
        with contextlib.suppress(TimeoutError):  # it goes on sending: that ends here
            async with asyncio.timeout(LINGER_S):
                while await reader.read(BLOCK):
                    continue
        return False

    async def _next_head(self, reader: asyncio.StreamReader, task: asyncio.Task[None]) -> bytes | None:
        if self.closing:
            return None
        self._waiting.add(task)
        try:
            with contextlib.suppress(TimeoutError):  # a connection without a request is closed, that is all
                async with asyncio.timeout(IDLE_S):
                    return await http.read_head(reader)
            return None
        finally:
            self._waiting.discard(task)

    async def _pass(
        self,
        head: Head,
        body: bytes | None,
        found: tuple[Lane, Backend],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        began: float,
        *,
        link: Link | None = None,
    ) -> bool:
        """Let a copy answer, or give what one answers on `link`; whether the client's connection stays."""
        lane, backend = found
        backend.begin()
        status, feeding = 500, None
        try:
            if link is None:
                link, feeding, answer = await self._ask(backend, head, body, reader)
            else:
                answer = await self._answer_on(link, head)
            status = answer.status
            early = feeding is not None and not feeding.done()
            keep = head.keep and answer.keep and not early and not self.closing
            await self._give(answer, link, writer, keep=keep)
            if answer.keep and not early:
                backend.keep(link)
                link = None
            return keep
        except Refused as error:
            status = error.status
            raise
        finally:
            if feeding is not None:
                feeding.cancel()
            if link is not None:
                link.close()
            backend.end()
            for counts in (lane.counts, self.counts):
                counts.add(status, (time.perf_counter() - began) * 1e3)

    async def _body(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """The request's body; None when it is to be passed on as it comes."""
        if head.expects and head.length:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not 0 <= head.length <= WHOLE:
            return None
        try:
            async with asyncio.timeout(SLOW_S):
                return await reader.readexactly(head.length)
        except TimeoutError as error:
            raise Refused("too_slow", "the request's body came too slowly", "send it faster") from error

    async def _ask(
        self, backend: Backend, head: Head, body: bytes | None, source: asyncio.StreamReader
    ) -> tuple[Link, asyncio.Task[None] | None, Head]:
        """Send a request to a copy and read the head of its answer.

        A connection that was used before may have ended by itself, so that one is tried anew.
        """
        fresh = body is None
        while True:
            try:
                link = await backend.link(fresh=fresh)
            except OSError as error:
                raise NOBODY from error
            feeding = None
            try:
                link.writer.write(head.encode() + (body or b""))
                if body is None:
                    feeding = asyncio.ensure_future(
                        http.relay(source, link.writer, head.length, self.timeout_s)
                    )
                async with asyncio.timeout(self.timeout_s):
                    return link, feeding, await self._answer_head(link, head.method)
            except BaseException as error:
                link.close()
                if feeding is not None:
                    feeding.cancel()
                if isinstance(error, BROKEN) and link.used and not fresh:
                    fresh = True
                    continue
                raise self._told(error) from error

    async def _answer_on(self, link: Link, head: Head) -> Head:
        """The head of an answer that has begun."""
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._answer_head(link, head.method)
        except (*BROKEN, TimeoutError) as error:
            raise self._told(error) from error

    async def _answer_head(self, link: Link, method: bytes) -> Head:
        await link.writer.drain()
        while True:
            data = await http.read_head(link.reader)
            if data is None:
                raise ConnectionResetError("the copy closed the connection")
            answer = http.response_of(data, method)
            if answer.status >= 200:
                return answer

    def _told(self, error: BaseException) -> BaseException:
        """What the client is told of `error`."""
        if isinstance(error, TimeoutError):
            return self.took_too_long()
        if isinstance(error, (*BROKEN, Refused)):
            return self._broke_off(str(error))
        return error

    def took_too_long(self) -> Refused:
        """What is told of a request that took too long."""
        self._log(f"a request took over {self.timeout_s:g} s")
        return Refused("out_of_time", f"the model took over {self.timeout_s:g} s", "send fewer examples")

    def _broke_off(self, why: str) -> Refused:
        self._log(f"a copy broke off a request: {why}")
        return Refused("prediction_failed", "the model's process broke off", "see the service's log")

    async def _give(self, answer: Head, link: Link, writer: asyncio.StreamWriter, *, keep: bool) -> None:
        """Pass the answer on."""
        keep = keep and answer.length != -2
        head = answer.encode(*(() if keep else ((b"connection", b"close"),)))
        if 0 <= answer.length <= BLOCK:
            writer.write(head + await link.reader.readexactly(answer.length))
            await writer.drain()
            return
        writer.write(head)
        await http.relay(link.reader, writer, answer.length, self.timeout_s)
