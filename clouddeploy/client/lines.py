"""Kept connections of an awaited client, on asyncio's streams."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

from clouddeploy.client.address import Address
from clouddeploy.client.http1 import Answer, Malformed, Reader
from clouddeploy.client.pool import CHUNK, KEPT_S, readable
from clouddeploy.client.settings import Timeouts
from clouddeploy.client.steps import Failure, Send

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Lines:
    """Connections to one server from one event loop, at most `size` at once; others wait for one.

    Args:
        address: of the server.
        timeouts: how long to wait.
        tls: trust for https; None for the system's.
        size: connections at the most.
        limit: bytes of an answer's body at the most.
        now: the client's clock.
    """

    def __init__(
        self,
        address: Address,
        timeouts: Timeouts,
        tls: ssl.SSLContext | None,
        size: int,
        limit: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._timeouts = timeouts
        self._tls = address.tls(tls)
        self._size = size
        self._limit = limit
        self._now = now
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: list[tuple[Line, float]] = []
        self._seats = asyncio.Semaphore(size)

    async def exchange(self, send: Send) -> Answer | Failure:
        """Send bytes and wait for the answer."""
        self._settle()
        left = send.deadline - self._now()
        try:
            async with asyncio.timeout(max(left, 0)):
                async with self._seats:
                    return await self._exchange(send)
        except TimeoutError as error:
            return Failure("late", error)

    def _settle(self) -> None:
        """Forget the connections of another loop: they can't be used in this one."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._idle, self._seats = loop, [], asyncio.Semaphore(self._size)

    async def _exchange(self, send: Send) -> Answer | Failure:
        line = self._take()
        if line is None:
            try:
                async with asyncio.timeout(self._timeouts.connect_s):
                    line = await self._connect()
            except OSError as error:  # TimeoutError is one
                return Failure("unsent", error)
        answer: Answer | Failure | None = None
        try:
            answer = await self._talk(line, send)
        finally:
            if isinstance(answer, Answer) and answer.keep:
                self._idle.append((line, self._now()))
            else:
                line[1].close()
        return answer

    async def _connect(self) -> Line:
        name = self._address.host if self._tls else None
        return await asyncio.open_connection(
            self._address.host, self._address.port, ssl=self._tls, server_hostname=name, limit=CHUNK
        )

    async def _talk(self, line: Line, send: Send) -> Answer | Failure:
        incoming, outgoing = line
        reader = Reader(self._limit, bodiless=send.bodiless)
        try:
            outgoing.write(send.data)
            async with asyncio.timeout(self._timeouts.read_s):
                await outgoing.drain()
            while True:
                async with asyncio.timeout(self._timeouts.read_s):
                    data = await incoming.read(CHUNK)
                answer = reader.feed(data) if data else reader.eof()
                if answer is not None:
                    return answer
                if not data:
                    return Failure("lost", ConnectionError("the connection was closed"))
        except Malformed as error:
            return Failure("malformed", error)
        except TimeoutError as error:
            return Failure("slow", error)
        except OSError as error:
            return Failure("lost", error)

    def _take(self) -> Line | None:
        """An idle connection that is still good."""
        while self._idle:
            line, since = self._idle.pop()
            incoming, outgoing = line
            ended = incoming.at_eof() or incoming.exception() is not None or outgoing.is_closing()
            # The loop may not have looked since the server closed it.
            ended = ended or readable(outgoing.get_extra_info("socket").fileno())
            if self._now() - since < KEPT_S and not ended:
                return line
            outgoing.close()
        return None

    async def close(self) -> None:
        """Close what is idle."""
        idle, self._idle = self._idle, []
        for (_, outgoing), _ in idle:
            outgoing.close()
        if self._loop is asyncio.get_running_loop():
            closing = (outgoing.wait_closed() for (_, outgoing), _ in idle)
            await asyncio.gather(*closing, return_exceptions=True)
