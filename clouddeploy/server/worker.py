"""One worker process: an event loop, its socket, its models.

``python -m clouddeploy.server.worker`` is started by the supervisor with the listening socket as an
inherited file descriptor. It tells on another what becomes of it, and ends when the supervisor does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
from typing import Any

from clouddeploy.server.app import App
from clouddeploy.server.connection import Connection
from clouddeploy.server.protocols import wire
from clouddeploy.server.settings import ServerSettings

BACKLOG = 2048
log = logging.getLogger(__name__)


def make_app(settings: ServerSettings) -> App:
    """The application with every protocol that the settings switch on."""
    app = App(settings)
    wire.install(app)
    return app


class Worker:
    """Serves until it is told to stop.

    Args:
        settings: how to behave.
        sock: the listening socket.
        tell: called with what becomes of the worker, as JSON-able objects.
    """

    def __init__(self, settings: ServerSettings, sock: socket.socket, tell: Any) -> None:
        self.settings = settings
        self._sock = sock
        self._tell = tell
        self._stop: asyncio.Event | None = None

    def stop(self) -> None:
        """Let `serve` end, from the loop's thread."""
        if self._stop is not None:
            self._stop.set()

    def _supervisor_spoke(self) -> None:
        """The supervisor never writes: that its end of the pipe can be read means that it is gone."""
        if not os.read(sys.stdin.fileno(), 1):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self.stop()

    async def serve(self) -> None:
        """Listen, load, answer; on a stop finish what was accepted."""
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if not sys.stdin.isatty():
            loop.add_reader(sys.stdin.fileno(), self._supervisor_spoke)
        app = make_app(self.settings)
        app.now = loop.time()
        server = await loop.create_server(lambda: Connection(app), sock=self._sock, backlog=BACKLOG)
        ticking = asyncio.ensure_future(app.tick())
        starting = asyncio.ensure_future(app.start())
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            self._tell({"ready": os.getpid()})
            await stopping
        server.close()
        await app.drain(self.settings.drain_s)
        for task in (ticking, starting, stopping):
            task.cancel()


def run(settings: ServerSettings, sock: socket.socket, tell: Any) -> None:
    """Serve on the fastest loop there is."""
    worker = Worker(settings, sock, tell)
    try:
        import uvloop
    except ModuleNotFoundError:
        asyncio.run(worker.serve())
    else:
        uvloop.run(worker.serve())


def main() -> int:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m clouddeploy.server.worker", description=__doc__)
    parser.add_argument("--socket", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--status", type=int, required=True, help="file descriptor to tell on")
    parser.add_argument("--settings", type=json.loads, required=True, help="a JSON object")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    status = os.fdopen(arguments.status, "w", buffering=1)

    def tell(what: Any) -> None:
        status.write(json.dumps(what) + "\n")

    settings = ServerSettings().changed(arguments.settings)
    run(settings, socket.socket(fileno=arguments.socket), tell)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
