"""A server without a model on loopback, and a client that sends the bytes it is told to."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clouddeploy.server.app import App
from clouddeploy.server.connection import Connection
from clouddeploy.server.exchange import Exchange
from clouddeploy.server.message import Response
from clouddeploy.server.settings import ServerSettings

TICK_S = 0.01
GET = b"GET /static HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = 32 << 20


@dataclass
class Answer:
    """One response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


class Client:
    """A connection to the server."""

    def __init__(self, port: int, *, receive: int = 0) -> None:
        self.sock = socket.socket()
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.sock.settimeout(20)
        self.sock.connect(("127.0.0.1", port))
        self.left = b""

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.sock.sendall(part)

    def rest(self) -> bytes:
        """All that comes until the server closes."""
        data = self.left
        try:
            while more := self.sock.recv(1 << 16):
                data += more
        except ConnectionResetError:
            data += b"<reset>"
        return data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.left:
            more = self.sock.recv(1 << 16)
            assert more, f"the connection ended after {self.left!r}"
            self.left += more
        found, _, self.left = self.left.partition(mark)
        return found

    def _take(self, count: int) -> bytes:
        parts, size = [self.left], len(self.left)
        while size < count:
            more = self.sock.recv(1 << 20)
            assert more, "the body was cut"
            parts.append(more)
            size += len(more)
        whole = b"".join(parts)
        self.left = whole[count:]
        return whole[:count]

    def answer(self, *, bodiless: bool = False) -> Answer:
        """The next response."""
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status = int(first.split()[1])
        if status == 100 or bodiless:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._take(size)
                self._take(2)
            self._take(2)
            return Answer(status, headers, body)
        return Answer(status, headers, self._take(int(headers.get("content-length", 0))))

    def ask(self, *parts: bytes) -> Answer:
        self.send(*parts)
        return self.answer()

    @property
    def closed(self) -> bool:
        """Whether the server ends the connection now."""
        return self.rest() == b""

    def close(self) -> None:
        self.sock.close()


class Server:
    """A server that runs in a thread."""

    def __init__(self, app: App, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.app, self.port, self.loop = app, port, loop
        self.clients: list[Client] = []

    def client(self, *, receive: int = 0) -> Client:
        found = Client(self.port, receive=receive)
        self.clients.append(found)
        return found

    def ask(self, data: bytes) -> Answer:
        """Send `data` on a connection of its own; the answer."""
        client = self.client()
        try:
            return client.ask(data)
        finally:
            client.close()

    def call(self, act: Any) -> Any:
        """What `act()` gives in the event loop."""

        async def run() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)

    def until(self, condition: Any) -> None:
        """Wait until `condition()` holds in the event loop."""

        async def wait() -> None:
            for _ in range(2000):
                if condition():
                    return
                await asyncio.sleep(0.005)
            raise AssertionError("it never came to be")

        asyncio.run_coroutine_threadsafe(wait(), self.loop).result(30)


def routes(app: App) -> None:
    """Endpoints without a model."""

    def static(exchange: Exchange) -> None:
        exchange.reply(Response(200, b'{"status":"ok"}'))

    def echo(exchange: Exchange) -> None:
        exchange.reply(Response(200, exchange.request.body, "application/octet-stream"))

    def told(exchange: Exchange) -> None:
        head = exchange.request.head
        fields = {"path": head.path, "query": head.query, "headers": head.headers}
        exchange.reply(Response(200, json.dumps(fields).encode()))

    def large(exchange: Exchange) -> None:
        exchange.reply(Response(200, b"x" * LARGE, "application/octet-stream"))

    async def held(exchange: Exchange) -> None:
        while not exchange.gone:
            await asyncio.sleep(0.005)

    async def later(exchange: Exchange) -> None:
        await asyncio.sleep(0.01)
        exchange.reply(Response(200, exchange.request.query.encode()))

    async def stream(exchange: Exchange) -> None:
        out = exchange.stream(200, "text/plain")
        for number in range(3):
            out.write(b"part %d\n" % number)
            await asyncio.sleep(0)
        out.close()

    async def torn(exchange: Exchange) -> None:
        exchange.stream(200, "text/plain").write(b"begun")
        raise ValueError("the endpoint fails")

    def empty(exchange: Exchange) -> None:
        exchange.reply(Response(204))

    for path, endpoint in (
        ("/static", static), ("/told", told), ("/large", large), ("/held", held), ("/later", later),
        ("/stream", stream), ("/torn", torn), ("/empty", empty),
    ):  # fmt: skip
        app.routes.add("GET", path, endpoint)
    app.routes.add("POST", "/echo", echo)


def _run(app: App, found: list[Server], ready: threading.Event, stop: threading.Event, tls: Any) -> None:
    import uvloop

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        app.now = loop.time()
        listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        server = await loop.create_server(lambda: Connection(app), sock=listening, backlog=1024, ssl=tls)
        ticking = asyncio.ensure_future(app.tick(TICK_S))
        app.ready = True
        found.append(Server(app, listening.getsockname()[1], loop))
        ready.set()
        await loop.run_in_executor(None, stop.wait)
        server.close()
        ticking.cancel()
        for task in app.slow:
            task.cancel()
        for connection in list(app.connections):
            connection.abort()
        await asyncio.sleep(0)

    uvloop.run(serve())


@contextmanager
def running(app: App, *, tls: Any = None) -> Iterator[Server]:
    """`app` on loopback, on the loop that workers have."""
    found: list[Server] = []
    ready, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=_run, args=(app, found, ready, stop, tls), daemon=True)
    thread.start()
    try:
        while thread.is_alive() and not ready.wait(0.05):
            continue
        yield found[0]
    finally:
        stop.set()
        thread.join(20)
        for client in found[0].clients if found else ():
            client.close()


@contextmanager
def server(**settings: Any) -> Iterator[Server]:
    """A server with the endpoints above."""
    app = App(ServerSettings(**settings))
    routes(app)
    with running(app) as found:
        yield found
