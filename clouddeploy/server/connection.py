"""One client's connection: HTTP/1.1 in order, with limits on everything that a client can make grow.

Written on asyncio's protocols because every layer between the socket and the batch costs more than a
small model's prediction; see docs/decisions/0007-http-core.md.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.chunks import Chunks
from clouddeploy.server.exchange import Exchange, Stream, new_event
from clouddeploy.server.heads import END
from clouddeploy.server.message import Head, Headers, Request, Response, refusal

if TYPE_CHECKING:
    from clouddeploy.server.app import App

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = b"connection: close\r\n"
BODILESS = frozenset((204, 304))
AHEAD = 1 << 16
"""Bytes that a client may send ahead of the answer before its connection isn't read any more."""


class Connection(asyncio.Protocol):
    """A client's connection.

    Args:
        app: answers its requests.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._head: Head | None = None
        self._parts: list[bytes] = []
        self._got = 0
        self._chunks: Chunks | None = None
        self._paused = False
        self.exchange: Exchange | None = None
        self._stream: Stream | None = None
        self._closing = False
        self.peer = ""
        self.since = app.now
        self.writable: asyncio.Event = new_event(is_set=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        address: Any = transport.get_extra_info("peername")
        self.peer = str(address[0]) if isinstance(address, tuple) else ""
        self._app.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The client went, or we closed."""
        self._transport = None
        self._app.connections.discard(self)
        self.writable.set()
        if self._stream is not None:
            self._stream.closed = True
        if self.exchange is not None:
            self.exchange.leave()
            self._app.left(self.exchange)
            self.exchange = None

    def pause_writing(self) -> None:
        """The client takes too little."""
        self.since = self._app.now
        self.writable.clear()

    def resume_writing(self) -> None:
        """The client has taken what waited."""
        self.since = self._app.now
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a complete request is answered."""
        if self.exchange is not None:
            self._hold(data)
            return
        try:
            self._take(data)
        except WireError as error:
            self._refuse(error)

    def _hold(self, data: bytes) -> None:
        """Keep what a client sends before it has its answer; not without end."""
        self._buffer += data
        if len(self._buffer) > AHEAD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _take(self, data: bytes) -> None:
        if self._head is None:
            self._take_head(data)
        elif self._chunks is not None:
            done = self._chunks.feed(data)
            if done is not None:
                head, (body, self._buffer) = self._head, done
                self._head = self._chunks = None
                self._answer(head, body)
        else:
            self._take_body(data)

    def _take_head(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        else:
            self.since = self._app.now
        end = data.find(END)
        if end < 0 or end > self._app.settings.head_limit:
            if len(data) > self._app.settings.head_limit:
                limit = self._app.settings.head_limit
                raise WireError("head_too_large", f"the request's head has over {limit} bytes", "send less")
            self._buffer = data.lstrip(b"\r\n") if data[:1] in (b"\r", b"\n") else data
            return
        end += 4
        head = self._app.heads.parse(data[:end] if data[0] > 32 else data[:end].lstrip(b"\r\n"))
        length = head.length
        if 0 <= length <= len(data) - end:
            self._buffer = data[end + length :]
            self._answer(head, data[end : end + length])
            return
        limit = self._app.settings.body_limit
        if length > limit:
            raise WireError(
                "too_large",
                f"the body has {length} bytes; at most {limit} are read",
                "send fewer examples in one request",
            )
        if head.expects:
            self.write(CONTINUE)
        self._head, self.since = head, self._app.now
        if length < 0:
            self._chunks = Chunks(limit)
            self._take(data[end:])
        else:
            self._parts, self._got = [data[end:]], len(data) - end

    def _take_body(self, data: bytes) -> None:
        assert self._head is not None
        self._parts.append(data)
        self._got += len(data)
        if self._got < self._head.length:
            return
        whole, head = b"".join(self._parts), self._head
        self._head, self._parts, self._got = None, [], 0
        self._buffer = whole[head.length :]
        self._answer(head, whole[: head.length])

    def _answer(self, head: Head, body: bytes) -> None:
        self.exchange = exchange = Exchange(Request(head, body, self.peer), self)
        self._closing = not head.keep
        self._app.handle(exchange)

    def _refuse(self, error: WireError) -> None:
        """Answer what isn't a request, and close: where the next one begins can't be known."""
        head = Head("GET", "", "", {}, 0, keep=False, version="1.1", expects=False)
        self.exchange = exchange = Exchange(Request(self._head or head, b"", self.peer), self)
        self._closing = True
        self._app.refused(exchange, refusal(error))

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Write the response to `exchange`, and go on with what the client has sent meanwhile."""
        self._app.answered(exchange, response)
        if self._transport is None or exchange is not self.exchange:
            return
        head = exchange.request.head
        closing = self._closing or self._app.draining
        bodiless = head.method == "HEAD" or response.status in BODILESS
        told = self._app.response_heads.get(response.status, response.content_type, response.headers)
        body = response.body
        self._transport.write(
            b"%bcontent-length: %d\r\nx-request-id: %b\r\n%b\r\n%b"
            % (told, len(body), exchange.id.encode(), CLOSE if closing else b"", b"" if bodiless else body)
        )
        self._next(closing=closing)

    def begin_stream(self, exchange: Exchange, status: int, content_type: str, headers: Headers) -> Stream:
        """Write the head of a response without a length."""
        chunked = exchange.request.head.version != "1.0"
        self._closing = self._closing or not chunked
        more = (*headers, ("transfer-encoding", "chunked")) if chunked else headers
        told = self._app.response_heads.get(status, content_type, more)
        closing = CLOSE if self._closing or self._app.draining else b""
        self.write(b"%bx-request-id: %b\r\n%b\r\n" % (told, exchange.id.encode(), closing))
        self._stream = Stream(self, exchange, chunked=chunked)
        self._stream.closed = self._transport is None
        return self._stream

    def end_stream(self, exchange: Exchange, stream: Stream) -> None:
        """The streamed response is complete."""
        self._stream = None
        self._app.answered(exchange, Response(exchange.status, b"", "", ()))
        if self._transport is not None:
            self._next(closing=self._closing or self._app.draining)

    def _next(self, *, closing: bool) -> None:
        self.exchange = None
        self.since = self._app.now
        if self._transport is None:
            return
        if closing:
            self._transport.close()
            return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._buffer:
            # Not at once: a client that pipelines must not make the stack deep, nor starve the others.
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self.exchange is None and self._head is None and self._buffer:
            data, self._buffer = self._buffer, b""
            self.data_received(data)

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def idle(self) -> bool:
        """Nothing of a request has arrived and none waits for its answer."""
        return self.exchange is None and self._head is None and not self._buffer

    def close(self) -> None:
        """Close it once what was written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def expire(self, now: float) -> None:
        """End it when the client is too slow: with a head, a body, taking an answer, or the next request."""
        settings, waited_s = self._app.settings, now - self.since
        if self.exchange is not None:
            if not self.writable.is_set() and waited_s > settings.idle_timeout_s:
                self.abort()
        elif self._head is not None:
            got = self._chunks.size if self._chunks is not None else self._got
            if waited_s > settings.head_timeout_s + got / settings.slowest_bytes_per_s:
                self._refuse(_slow("body"))
        elif self._buffer:
            if waited_s > settings.head_timeout_s:
                self._refuse(_slow("head"))
        elif waited_s > settings.idle_timeout_s:
            self.close()


def _slow(part: str) -> WireError:
    return WireError("too_slow", f"the request's {part} came too slowly", "send it faster, or in parts")
