"""One client's connection: HTTP/1.1 in order, with limits on everything that a client can make grow.

Written on asyncio's protocols because every layer between the socket and the batch costs more than a
small model's prediction; see docs/decisions/0007-http-core.md.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.chunks import Chunks, Sized
from clouddeploy.server.crowd import make_room
from clouddeploy.server.exchange import Exchange, Stream
from clouddeploy.server.heads import END
from clouddeploy.server.message import Head, Headers, Request, Response

if TYPE_CHECKING:
    from clouddeploy.server.app import App

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = b"connection: close\r\n"
CLOSING = b"\r\nconnection: close\r\n\r\n"
LENGTH = b"content-length: %d\r\nx-request-id: "
LENGTHS = tuple([LENGTH % size for size in range(2048)])
_joined = b"".join
BODILESS = frozenset((204, 304))
AHEAD = 1 << 16
"""Bytes that a client may send ahead of the answer before its connection isn't read any more."""
LINGER_S = 3.0
"""For so long is read, and thrown away, what a client still sends after its last answer: a connection that
is closed with bytes unread is reset, and the answer lost with it."""
NO_HEAD = Head("GET", "", "", {}, 0, keep=False, version="1.1", expects=False)
FULL = WireError("overloaded", "the server has as many connections as it takes", "try again in a moment")


class Connection(asyncio.Protocol):
    """A client's connection.

    Args:
        app: answers its requests.

    Attributes:
        exchange: the request that waits for its response.
        since: the loop's time from which the client's slowness is measured.
        peer: address of the client.
    """

    __slots__ = (
        "_app", "_body", "_buffer", "_closing", "_deaf", "_ended", "_ending", "_head", "_held", "_paused",
        "_stream", "_transport", "_unsent", "_waiters", "exchange", "peer", "since",
    )  # fmt: skip

    def __init__(self, app: App) -> None:
        self._app = app
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._head: Head | None = None
        self._body: Sized | Chunks | None = None
        self._held = 0  # bytes of an incomplete body, as the worker counts them
        self._paused = False  # the transport doesn't read
        self._deaf = False  # what arrives is no request for now: too much is unsent, or this is the end
        self._unsent = 0  # bytes that the client hasn't taken when that was last looked at
        self._ending = False  # nothing more is answered
        self._ended = False  # the client sends nothing more
        self._closing = False  # after the answer under way
        self._stream: Stream | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self.exchange: Exchange | None = None
        self.peer = ""
        self.since = app.now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if there is room for one more."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        address: Any = transport.get_extra_info("peername")
        self.peer = str(address[0]) if isinstance(address, tuple) else ""
        app = self._app
        fits = len(app.connections) < app.room or make_room(app.connections, app.room, app.now)
        app.connections.add(self)
        if not fits:
            self._refuse(FULL)

    def connection_lost(self, error: Exception | None) -> None:
        """The client went, or we closed."""
        self._transport = None
        self._app.connections.discard(self)
        self._release()
        self._wake()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.closed = True
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.leave()
            self._app.left(exchange)
            if stream is not None:
                self._app.answered(exchange, stream.sent)

    def eof_received(self) -> bool:
        """The client sends nothing more; whether the connection stays open.

        It has gone, as far as can be told, when it does so while its request waits for the model. But
        who sends several requests and then the end gets all its answers.
        """
        more = END in self._buffer and not self._ending
        if self.exchange is not None or not more or self._transport is None or self._encrypted:
            return False
        self._ended = True
        return True

    @property
    def _encrypted(self) -> bool:
        """TLS has no half-closed connections (`asyncio.Protocol.eof_received`)."""
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is not None

    def pause_writing(self) -> None:
        """The client takes too little: nothing more of it is answered before it has taken that."""
        self._deaf = True
        self.since = self._app.now
        self._unsent = 0 if self._transport is None else self._transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """The client has taken what waited."""
        self._deaf = self._ending
        self.since = self._app.now
        self._wake()
        if self.exchange is None and not self._ending:
            self._attend()

    async def drained(self) -> None:
        """Return when the client has taken what was written, or went away."""
        while self._deaf and not self._ending and self._transport is not None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters = []

    def data_received(self, data: bytes) -> None:
        """Take bytes; a complete request is answered."""
        if self.exchange is not None or self._deaf:
            self._hold(data)
            return
        try:
            if self._body is None:
                self._take_head(data)
            else:
                self._take_body(self._body, data)
        except WireError as error:
            self._refuse(error)

    def _hold(self, data: bytes) -> None:
        """Keep what a client sends before it has its answer; not without end."""
        if self._ending:
            return
        self._buffer += data
        if len(self._buffer) > AHEAD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _take_body(self, body: Sized | Chunks, data: bytes) -> None:
        done = body.feed(data)
        if done is None:
            self._count(body.received)
            return
        head, (whole, self._buffer) = self._head, done
        assert head is not None
        self._release()
        self._answer(head, whole)

    def _take_head(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        else:
            self.since = self._app.now
        if data[0] <= 32:
            data = data.lstrip(b"\r\n")  # RFC 9112, section 2.2
        settings = self._app.settings
        end = data.find(END)
        if end < 0 or end > settings.head_limit:
            if len(data) > settings.head_limit:
                limit = settings.head_limit
                raise WireError("head_too_large", f"the request's head has over {limit} bytes", "send less")
            self._buffer = data
            return
        end += 4
        head = self._app.heads.parse(data[:end])
        length = head.length
        if 0 <= length <= len(data) - end and length <= settings.body_limit:
            self._buffer = data[end + length :]
            self._answer(head, data[end : end + length])
            return
        self._begin_body(head, data[end:])

    def _begin_body(self, head: Head, data: bytes) -> None:
        limit = self._app.settings.body_limit
        self._head = head
        if head.length > limit:
            raise WireError(
                "too_large",
                f"the body has {head.length} bytes; at most {limit} are read",
                "send fewer examples in one request",
            )
        response = self._app.early(head, self.peer)
        if response is not None:
            self._turn_away(head, response)
            return
        if head.expects and not data:
            self.write(CONTINUE)
        self.since = self._app.now
        self._body = body = Chunks(limit) if head.length < 0 else Sized(head.length)
        if data:
            self._take_body(body, data)

    def _count(self, received: int) -> None:
        """Let the worker know how much of bodies it holds, which all clients together could make too much."""
        app = self._app
        app.held += received - self._held
        self._held = received
        if app.held > app.settings.bodies_limit:
            raise WireError("overloaded", "too many large requests arrive at once", "try again in a moment")

    def _release(self) -> None:
        """The body is complete, or won't be."""
        self._app.held -= self._held
        self._held = 0
        self._head = self._body = None

    def _answer(self, head: Head, body: bytes) -> None:
        self.exchange = exchange = Exchange(Request(head, body, self.peer), self)
        self._closing = not head.keep
        self._app.handle(exchange)

    def _refuse(self, error: WireError) -> None:
        """Answer what isn't a request, and close: where the next one begins can't be known."""
        head = self._head or NO_HEAD
        self._turn_away(head, self._app.frame(error, head.path))

    def _turn_away(self, head: Head, response: Response) -> None:
        """Answer a request before it is complete, and close."""
        self.exchange = exchange = Exchange(Request(head, b"", self.peer), self)
        self._release()
        self._closing = self._ending = True
        self._app.refused(exchange, response)

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Write the response to `exchange`, and go on with what the client has sent meanwhile."""
        app = self._app
        app.answered(exchange, response)
        transport = self._transport
        if transport is None or exchange is not self.exchange:
            return
        head, body = exchange.request.head, response.body
        closing = self._closing or app.draining or self._ended
        headers = app.added(exchange, response.headers) if app.adding else response.headers
        told = app.response_heads.get(response.status, response.content_type, headers)
        ending = CLOSING if closing else head.ending
        if response.status in BODILESS:
            transport.write(_joined((told, b"x-request-id: ", exchange.id.encode(), ending)))
        else:
            size = len(body)
            length = LENGTHS[size] if size < len(LENGTHS) else LENGTH % size
            sent = b"" if head.method == "HEAD" else body
            transport.write(_joined((told, length, exchange.id.encode(), ending, sent)))
        self._next(closing=closing and not (self._ended and self._buffer))

    def begin_stream(self, exchange: Exchange, status: int, content_type: str, headers: Headers) -> Stream:
        """Write the head of a response without a length."""
        head = exchange.request.head
        chunked = head.version != "1.0"
        self._closing = self._closing or not chunked
        own, headers = headers, self._app.added(exchange, headers)
        more = (*headers, ("transfer-encoding", "chunked")) if chunked else headers
        told = self._app.response_heads.get(status, content_type, more)
        closing = CLOSE if self._closing or self._app.draining else b""
        self.write(b"%bx-request-id: %b\r\n%b\r\n" % (told, exchange.id.encode(), closing))
        stream = Stream(self, exchange, chunked=chunked, silent=head.method == "HEAD", headers=own)
        stream.closed = self._transport is None or exchange is not self.exchange
        if not stream.closed:
            self._stream = stream
        return stream

    def end_stream(self, exchange: Exchange, stream: Stream) -> None:
        """The streamed response is complete."""
        self._stream = None
        self._app.answered(exchange, stream.sent)
        if self._transport is not None:
            self._next(closing=self._closing or self._app.draining)

    def cut(self, exchange: Exchange) -> None:
        """Cut a response that was begun and can't be finished, so that the client sees that it is cut."""
        if exchange is self.exchange and self._stream is not None:
            self._stream.abort()

    def _next(self, *, closing: bool) -> None:
        self.exchange = None
        self.since = self._app.now
        if self._transport is None:
            return
        if closing:
            self._finish()
        elif (self._buffer or self._paused or self._ended) and not self._deaf:
            self._attend()

    def _attend(self) -> None:
        """Read on, beginning with what the client has sent ahead."""
        if self._transport is None:
            return
        if self._buffer:
            # Not at once: a client that pipelines must not make the stack deep, nor starve the others.
            asyncio.get_running_loop().call_soon(self._go_on)
        elif self._ended:
            self._transport.close()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _go_on(self) -> None:
        if self.exchange is None and self._body is None and self._buffer and not self._deaf:
            data, self._buffer = self._buffer, b""
            self.data_received(data)
            if self._ended and self.exchange is None and not self._ending and END not in self._buffer:
                self.close()

    def _finish(self) -> None:
        """The last answer is written. Who may still be sending has time to read it."""
        transport = self._transport
        assert transport is not None
        if not (self._ending or self._buffer) or self._ended:
            transport.close()
            return
        self._ending = self._deaf = True
        self._buffer = b""
        if self._paused:
            self._paused = False
            transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()

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
        unsent = self._transport.get_write_buffer_size() if self._deaf and self._transport else 0
        if unsent:
            self._expire_unsent(now, unsent)
        elif self._ending:
            if waited_s > LINGER_S:
                self.abort()
        elif self.exchange is not None:
            return
        elif self._body is not None:
            if waited_s > settings.head_timeout_s + self._body.received / settings.slowest_bytes_per_s:
                self._refuse(_slow("body"))
        elif self._buffer:
            if waited_s > settings.head_timeout_s:
                self._refuse(_slow("head"))
        elif waited_s > settings.idle_timeout_s:
            self.close()

    def _expire_unsent(self, now: float, unsent: int) -> None:
        """Cut it when the client takes its answer slower than it may send a request."""
        settings = self._app.settings
        taken = max(0, self._unsent - unsent)
        self.since, self._unsent = min(now, self.since + taken / settings.slowest_bytes_per_s), unsent
        if now - self.since > settings.write_timeout_s:
            self.abort()


def _slow(part: str) -> WireError:
    return WireError("too_slow", f"the request's {part} came too slowly", "send it faster, or in parts")
