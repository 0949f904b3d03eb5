"""A real server on loopback for each handler, and a client that sends the bytes it is told to."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.server.app import App
from clouddeploy.server.connection import Connection
from clouddeploy.server.settings import ServerSettings
from clouddeploy.server.worker import make_app

DOUBLE = "def predict(x):\n    return x * 2\n"
Row = tuple[str, str, Sequence[int | None]]


@dataclass
class Reply:
    """What came back."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A server that runs."""

    port: int
    app: App
    loop: asyncio.AbstractEventLoop
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """One request; `body` that is no bytes goes as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None and "content-type" not in named:
            named["content-type"] = "application/json"
        try:
            connection.request(method, path, data, named)
            response = connection.getresponse()
            return Reply(response.status, response.read(), {k.lower(): v for k, v in response.getheaders()})
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        return self.send("POST", path, body, **headers)

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, None, **headers)


def model_folder(folder: Path, handler: str, inputs: Sequence[Row] = (), outputs: Sequence[Row] = ()) -> Path:
    """A served model: manifest and handler."""
    (folder / "code" / "app").mkdir(parents=True)
    (folder / "code" / "app" / "handler.py").write_text(handler)
    rows = [[{"name": n, "dtype": d, "shape": list(s)} for n, d, s in part] for part in (inputs, outputs)]
    manifest = {
        "version": 1,
        "model": "0" * 64,
        "format": "files",
        "handler": "handler.py",
        "weights": None,
        "signature": {"inputs": rows[0], "outputs": rows[1]},
    }
    (folder / "clouddeploy.json").write_text(json.dumps(manifest))
    return folder


def run_app(settings: ServerSettings, started: Callable[[Server], None], stop: threading.Event) -> None:
    """Serve in this thread until `stop` is set."""

    async def serve() -> None:
        app = make_app(settings)
        loop = asyncio.get_running_loop()
        app.now = loop.time()
        listening = socket.create_server(("127.0.0.1", 0))
        server = await loop.create_server(lambda: Connection(app), sock=listening)
        await app.start()
        started(Server(listening.getsockname()[1], app, loop))
        await loop.run_in_executor(None, stop.wait)
        server.close()
        await app.drain(1)

    asyncio.run(serve())


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a server for a handler; settings by keyword."""
    stop = threading.Event()
    threads: list[threading.Thread] = []
    path = list(sys.path)

    def start(
        handler: str = DOUBLE,
        inputs: Sequence[Row] = (("x", "float32", (None, 2)),),
        outputs: Sequence[Row] = (("y", "float32", (None, 2)),),
        **settings: Any,
    ) -> Server:
        number = len(threads)
        folder = model_folder(tmp_path / f"model{number}", handler, inputs, outputs)
        run_folder = tmp_path / f"run{number}"
        run_folder.mkdir(exist_ok=True)
        values = {"models": folder, "run_folder": run_folder, "name": "m", **settings}
        ready = threading.Event()
        found: list[Server] = []

        def started(server: Server) -> None:
            found.append(server)
            ready.set()

        thread = threading.Thread(target=run_app, args=(ServerSettings(**values), started, stop), daemon=True)
        threads.append(thread)
        thread.start()
        while thread.is_alive() and not ready.wait(0.05):
            continue
        assert found, "the server didn't start"
        return found[0]

    yield start
    stop.set()
    for thread in threads:
        thread.join(20)
    sys.path[:] = path
