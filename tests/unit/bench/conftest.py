"""A server on loopback whose answers a test decides, one thread for all connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\nretry-after: 1\r\n\r\n{}"


@dataclass
class Server:
    """Answers the n-th request of all by `answer(n)`: bytes, None for never, and whether to close."""

    answer: Callable[[int], tuple[bytes | None, bool]] = lambda number: (OK, False)
    count: int = 0
    connections: int = 0
    seen: list[bytes] = field(default_factory=list)
    port: int = 0
    listening: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def leave(self) -> None:
        """Listen no more."""
        assert self.listening is not None
        self.listening.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                self.seen.append(head + await reader.readexactly(int(length or 0)))
                self.count += 1
                data, close = self.answer(self.count)
                if data:
                    writer.write(data)
                if close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made, ready, stop = Server(), threading.Event(), threading.Event()

    async def run() -> None:
        listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        made.listening = listening
        made.port = listening.sockets[0].getsockname()[1]
        ready.set()
        await asyncio.to_thread(stop.wait)
        listening.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(10)
    yield made
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
