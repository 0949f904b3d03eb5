"""The quick way through the front: whole requests and whole answers, with no task for each connection.

What is out of the ordinary goes the thorough way of `front`, and its connection stays there: a body in
chunks or a large one, a stream, an answer without a length, a copy that broke off.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

from clouddeploy.providers.local import http
from clouddeploy.providers.local.asks import AHEAD
from clouddeploy.providers.local.backends import HEAD_LIMIT, Backend, Lane
from clouddeploy.providers.local.http import BLOCK, END, Refused

if TYPE_CHECKING:
    from clouddeploy.providers.local.front import Front

LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})\r\n", re.I)
STATUS = re.compile(rb"HTTP/1\.1 [2-5][0-9]{2} ")
UNAVAILABLE, MISSING = b"503", b"404"
JOB = re.compile(rb"(?:GET|DELETE) /jobs/")
"""What only the copy knows that took the job."""
OVERLOADED, NOT_READY = b'"code":"overloaded"', b'"code":"not_ready"'
"""How the wire contract's error tells that the model hasn't seen a request."""
BODILESS = frozenset((b"204", b"304"))
ODD = re.compile(rb"\r\n(?:connection|transfer-encoding|upgrade|trailer)[ \t]*:", re.I)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Line(asyncio.Protocol):
    """A connection to a copy, on which one request at a time is under way.

    Args:
        backend: the copy.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.open = False
        self.used = False
        self.since = 0.0
        self._transport: asyncio.Transport | None = None
        self._client: Client | None = None
        self._buffer = b""
        self._whole = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport, self.open = cast("asyncio.Transport", transport), True

    def connection_lost(self, error: Exception | None) -> None:
        """The copy has gone, or we have closed."""
        self.open = False
        client, self._client = self._client, None
        if client is not None:
            client.broken(again=self.used and not self._buffer)

    def ask(self, client: Client, data: bytes) -> None:
        """Send a request for `client`."""
        assert self._transport is not None
        self._client, self._buffer, self._whole = client, b"", 0
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer; the client gets it when it is complete."""
        client = self._client
        if client is None:
            self.close()  # nobody has asked
            return
        if self._buffer:
            data = self._buffer + data
        if not self._whole:
            end = data.find(END)
            if end < 0 and len(data) <= HEAD_LIMIT:
                self._buffer = data
                return
            found = LENGTH.search(data, 0, end + 2)
            length = int(found[1]) if found and data[9:12] not in BODILESS else BLOCK + 1
            if length > BLOCK or ODD.search(data, 0, end + 2) or not STATUS.match(data):
                self._client = None
                client.streamed(self, data)
                return
            self._whole = end + 4 + length
        if len(data) < self._whole:
            self._buffer = data
            return
        self._client, self._buffer = None, b""
        if len(data) > self._whole:  # more than was asked for
            data = data[: self._whole]
            self.close()
        client.answered(self, data)

    def streams(self, data: bytes) -> Streams:
        """The connection for the thorough way, with what has arrived."""
        assert self._transport is not None
        self.open = False
        return _streams(self._transport, data, ended=False)

    def close(self) -> None:
        """Give it up."""
        self.open, self._client = False, None
        if self._transport is not None:
            self._transport.close()


class Client(asyncio.Protocol):
    """A client's connection.

    Args:
        front: that takes it.

    Attributes:
        since: when what is awaited began, in `time.perf_counter`'s time.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._wanted = 0
        self._request: tuple[bytes, int] = (b"", 0)  # as it was received, and where its body begins
        self._line: Line | None = None
        self._found: tuple[Lane, Backend] | None = None
        self._asked: list[Backend] = []  # copies that don't know the job
        self._deaf = self._paused = self._ended = False
        self.since = time.perf_counter()

    @property
    def idle(self) -> bool:
        """No request is under way."""
        return self._found is None and not self._buffer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._front.clients.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The client went: nobody waits for the answer."""
        self._transport = None
        self._front.clients.discard(self)
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._found is not None:
            self._over(0)

    def eof_received(self) -> bool:
        """The client sends nothing more: it has gone, unless it sent several requests at once."""
        self._ended = True
        return self._found is None and END in self._buffer

    def pause_writing(self) -> None:
        """It takes too little: its next request waits."""
        self._deaf, self.since = True, time.perf_counter()

    def resume_writing(self) -> None:
        """It has taken what waited."""
        self._deaf, self.since = False, time.perf_counter()
        if self._found is None:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a complete request is passed on."""
        if self._buffer:
            data = self._buffer + data
        elif self._found is None and not self._deaf:
            self.since = time.perf_counter()
        if self._found is not None or self._deaf:
            self._buffer = data
            if len(data) > AHEAD and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
            return
        if len(data) < self._wanted:
            self._buffer = data
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        end = data.find(END)
        if end < 0 and len(data) <= HEAD_LIMIT:
            self._buffer = data
            return
        end += 4
        asked = self._front.asks.of(data[:end]) if end >= 4 else None
        if asked is None:
            self._thorough(data)
            return
        whole = end + asked[1]
        if len(data) < whole:
            self._buffer, self._wanted = data, whole
            return
        self._buffer, self._wanted = data[whole:], 0
        found = self._front.lanes.pick()
        if found is None:
            self._thorough(data)
            return
        self._request = data[:whole], end
        if self._asked:
            self._asked = []
        self._found = found
        found[1].begin()
        self._send(found[1], asked[0] + data[end:whole])

    def _send(self, backend: Backend, sent: bytes) -> None:
        line = backend.line()
        if line is None:
            self._front.begin(self._connect(backend, sent))
        else:
            self._line = line
            line.ask(self, sent)

    async def _connect(self, backend: Backend, sent: bytes) -> None:
        try:
            line = await backend.new_line()
        except OSError:
            if not self._ask_another():
                self.broken(again=True)
            return
        if self._found is None or self._transport is None or self._line is not None:
            line.close()
            return
        self._line = line
        line.ask(self, sent)

    def answered(self, line: Line, data: bytes) -> None:
        """Pass a whole answer on, and take what the client has sent meanwhile."""
        self._line = None
        line.backend.keep_line(line)
        status = data[9:12]
        if status == UNAVAILABLE and self._goes_on(data):
            return
        if status == MISSING and JOB.match(self._request[0]) and self._looks_on():
            return
        self._over(int(data[9:12]))
        if self._transport is None:
            return
        if self._front.closing:
            end = data.find(END) + 2
            self._transport.write(data[:end] + b"connection: close\r\n" + data[end:])
            self._transport.close()
            return
        self._transport.write(data)
        self.since = time.perf_counter()
        if not self._deaf:
            self._go_on()

    def _goes_on(self, data: bytes) -> bool:
        """Whether another copy is asked, because this one refused a prediction that its model hasn't seen."""
        assert self._found is not None
        if not self._request[0].startswith(b"POST "):
            return False
        if OVERLOADED in data:
            self._found[0].refused += 1
        return NOT_READY in data and self._ask_another()

    def _ask_another(self) -> bool:
        """Give the request to another copy, if one is there."""
        if self._found is None or self._transport is None:
            return False
        lane, backend = self._found
        other = lane.instead_of(backend)
        return other is not None and self._hand_to(lane, other)

    def _looks_on(self) -> bool:
        """Whether a copy is asked that hasn't been yet, of any release."""
        if self._found is None or self._transport is None:
            return False
        self._asked.append(self._found[1])
        left = ((lane, other) for lane, other in self._front.lanes.every() if other not in self._asked)
        lane, other = next(left, (None, None))
        return lane is not None and other is not None and self._hand_to(lane, other)

    def _hand_to(self, lane: Lane, other: Backend) -> bool:
        """Give the request to another copy."""
        assert self._found is not None
        data, end = self._request
        asked = self._front.asks.of(data[:end])
        if asked is None:
            return False
        self._found[1].end()
        other.begin()
        self._found = lane, other
        self._send(other, asked[0] + data[end:])
        return True

    def _over(self, status: int) -> None:
        """The request isn't under way any more."""
        assert self._found is not None
        (lane, backend), self._found = self._found, None
        backend.end()
        if status:
            took_ms = (time.perf_counter() - self.since) * 1e3
            for counts in (lane.counts, self._front.counts):
                counts.add(status, took_ms)

    def _go_on(self) -> None:
        if self._transport is None:
            return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._buffer:
            # Not at once: a client that pipelines must not make the stack deep, nor starve the others.
            asyncio.get_running_loop().call_soon(self._next)
        elif self._ended:
            self._transport.close()

    def _next(self) -> None:
        if self._found is None and self._buffer and not self._deaf and self._transport is not None:
            data, self._buffer, self.since = self._buffer, b"", time.perf_counter()
            self._take(data)
            if self._ended and self._found is None and self._transport is not None:
                self._transport.close()

    def broken(self, *, again: bool) -> None:
        """The copy broke off: ask on a new connection, or tell."""
        found, self._line = self._found, None
        if found is None:
            return
        self._over(0)
        data, end = self._request
        self._leave(lambda streams: self._front.ask_again(streams, data, end, found, again=again))

    def streamed(self, line: Line, data: bytes) -> None:
        """The answer is none that comes as a whole; pass it on as it comes."""
        found, self._line = self._found, None
        assert found is not None
        self._over(0)
        head = http.request_of(self._request[0][: self._request[1]])
        began, copy = self.since, line.streams(data)
        self._leave(lambda streams: self._front.give(streams, head, found, copy, began))

    def _thorough(self, data: bytes) -> None:
        """Let the connection be served the thorough way from here on, beginning with `data`."""
        self._buffer = data
        self._leave(self._front.serve)

    def _leave(self, go_on: Callable[[Streams], Coroutine[Any, Any, None]]) -> None:
        transport, self._transport = self._transport, None
        self._front.clients.discard(self)
        if transport is None:
            return
        if self._paused:
            transport.resume_reading()
        self._front.begin(go_on(_streams(transport, self._buffer, ended=self._ended)))
        self._buffer = b""

    def expire(self, now: float, timeout_s: float, idle_s: float, slow_s: float) -> None:
        """End what takes too long: an answer, a request, the time between two."""
        waited_s = now - self.since
        if self._found is not None:
            if waited_s > timeout_s:
                self._refuse(self._front.took_too_long(), 503)
        elif self._deaf:
            if waited_s > timeout_s and self._transport is not None:
                self._transport.abort()
        elif self._buffer:
            if waited_s > slow_s:
                self._refuse(Refused("too_slow", "the request came too slowly", "send it faster"), 408)
        elif waited_s > idle_s:
            self.close()

    def _refuse(self, error: Refused, status: int) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._found is not None:
            self._over(status)
        self._buffer = b""
        self._leave(lambda streams: self._front.refuse(streams, error))

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()


def _streams(transport: asyncio.Transport, data: bytes, *, ended: bool) -> Streams:
    """The same connection as asyncio's streams have it."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=HEAD_LIMIT, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    if data:
        reader.feed_data(data)
    if ended:
        reader.feed_eof()
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
