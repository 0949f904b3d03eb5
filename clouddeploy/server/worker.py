"""One worker process: an event loop, its socket, its models.

``python -m clouddeploy.server.worker`` is started by the supervisor with the listening socket as an
inherited file descriptor. It tells on another what becomes of it, and ends when the supervisor does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from asyncio import FIRST_COMPLETED, AbstractServer
from typing import Any

from clouddeploy.errors import CloudDeployError
from clouddeploy.runtime.errors import LoadError
from clouddeploy.server import collecting, tls
from clouddeploy.server.app import App
from clouddeploy.server.connection import Connection
from clouddeploy.server.control import Status, listen
from clouddeploy.server.listening import BACKLOG
from clouddeploy.server.seats import ENDING_S
from clouddeploy.server.settings import ServerSettings

FAILED = 3
"""Exit code of a worker that has told why it can't serve."""
LATE_S = 0.02
"""What the kernel accepted for us before we stopped to listen is taken within this."""
log = logging.getLogger(__name__)


def make_app(settings: ServerSettings) -> App:
    """The application with every protocol that the settings switch on."""
    app = App(settings)
    app.extend()
    return app


class Worker:
    """Serves until it is told to stop.

    Args:
        settings: how to behave.
        sock: the listening socket.
        status: told what becomes of the worker.
        control: where the supervisor's commands come from; None without one.
        waits_s: seconds for which it takes no connections unless every model is ready before.
    """

    def __init__(
        self,
        settings: ServerSettings,
        sock: socket.socket,
        status: Status,
        control: socket.socket | None = None,
        *,
        waits_s: float = 0.0,
    ) -> None:
        self.settings = settings
        self._sock, self._status, self._control, self._waits_s = sock, status, control, waits_s
        self._stop: asyncio.Event | None = None
        self._app: App | None = None
        self._servers: dict[int, tuple[AbstractServer, socket.socket]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._secured: dict[str, Any] = {}

    def stop(self) -> None:
        """Let `serve` end, from the loop's thread."""
        if self._stop is not None:
            self._stop.set()

    async def serve(self) -> None:
        """Listen, load, answer; on a stop finish what was accepted.

        Raises:
            LoadError: no model can be loaded.
        """
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if self._control is not None:
            listen(self._control, self._told, self.stop, self.settings.drain_s + ENDING_S)
        certificates = tls.Certificates(self.settings) if tls.on(self.settings) else None
        self._secured = certificates.listening if certificates is not None else {}
        app = self._app = make_app(self.settings)
        app.now = loop.time()
        running = [asyncio.ensure_future(app.tick()), asyncio.ensure_future(self._status.beat())]
        if certificates is not None:
            running.append(asyncio.ensure_future(certificates.follow()))
        starting = asyncio.ensure_future(app.start())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            if self._waits_s:
                await asyncio.wait((starting, stopping), timeout=self._waits_s, return_when=FIRST_COMPLETED)
            if not stopping.done() and not (starting.done() and starting.exception()):
                await self._listen(-1, self._sock)
            await asyncio.wait((starting, stopping), return_when=FIRST_COMPLETED)
            if starting.done():
                starting.result()
                collecting.leave_out(app.models.all())
                self._status.tell({"ready": os.getpid()})
                await stopping
            else:
                starting.cancel()
            self._status.tell({"leaving": os.getpid()})
            app.draining = True
            await self._close_servers()
            await app.drain(self.settings.drain_s)
        finally:
            for task in (*running, starting, stopping):
                task.cancel()

    async def _listen(self, key: int, sock: socket.socket) -> None:
        app = self._app
        assert app is not None
        loop = asyncio.get_running_loop()
        spare = sock.dup()
        server = await loop.create_server(
            lambda: Connection(app), sock=sock, backlog=BACKLOG, **self._secured
        )
        if app.draining:
            server.close()
            spare.close()
            return
        self._servers[key] = (server, spare)

    def _told(self, command: dict[str, Any], descriptors: list[int]) -> None:
        """Take the connections of a place that is empty, or no longer."""
        if "adopt" in command and descriptors:
            task = asyncio.ensure_future(self._listen(command["adopt"], socket.socket(fileno=descriptors[0])))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        found = self._servers.pop(command.get("release", -2), None)
        if found is not None:
            found[0].close()
            found[1].close()

    async def _close_servers(self) -> None:
        """Listen no more, and take what the kernel has accepted already."""
        loop, app = asyncio.get_running_loop(), self._app
        assert app is not None
        await asyncio.sleep(LATE_S)
        for server, spare in self._servers.values():
            server.close()
            spare.setblocking(False)
            with contextlib.suppress(OSError):  # none is left, or the client has gone again
                while True:
                    await loop.connect_accepted_socket(
                        lambda: Connection(app), spare.accept()[0], **self._secured
                    )
            spare.close()
        self._servers.clear()


def run(worker: Worker) -> None:
    """Serve on the fastest loop there is."""
    try:
        import uvloop
    except ModuleNotFoundError:
        asyncio.run(worker.serve())
    else:
        uvloop.run(worker.serve())


def main() -> int:
    """Read the arguments and serve; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m clouddeploy.server.worker", description=__doc__)
    parser.add_argument("--socket", type=int, required=True, help="file descriptor of the listening socket")
    parser.add_argument("--status", type=int, required=True, help="file descriptor to tell on")
    parser.add_argument("--control", type=int, required=True, help="file descriptor of the commands")
    parser.add_argument("--settings", type=json.loads, required=True, help="a JSON object")
    parser.add_argument(
        "--waits", type=float, default=0.0, help="seconds to take no connections before ready"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    status = Status(arguments.status)
    collecting.seldom()
    try:
        settings = ServerSettings().changed(arguments.settings)
        sock, control = socket.socket(fileno=arguments.socket), socket.socket(fileno=arguments.control)
        run(Worker(settings, sock, status, control, waits_s=arguments.waits))
    except (LoadError, CloudDeployError) as error:
        status.tell({"failed": _told_of(error)})
        return FAILED
    return 0


def _told_of(error: LoadError | CloudDeployError) -> dict[str, str]:
    """What the supervisor shows of a failure."""
    if isinstance(error, CloudDeployError):
        return {"what": error.what, "why": error.why, "fix": error.fix}
    why = "\n".join([str(error), *getattr(error, "trace", ())])
    return {"what": "the model can't be loaded", "why": why, "fix": "mend the model or its handler"}


if __name__ == "__main__":
    raise SystemExit(main())
