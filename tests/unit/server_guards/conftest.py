"""A server with guards, and requests to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.server import guards
from clouddeploy.server.app import App
from clouddeploy.server.settings import ServerSettings
from tests.unit.server_http.rig import Answer, Server, routes, running


class Guarded:
    """A server and what to ask it."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def ask(self, path: str = "/static", method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        length = f"content-length: {len(body)}\r\n" if body else ""
        return self.server.ask(f"{method} {path} HTTP/1.1\r\nhost: x\r\n{lines}{length}\r\n".encode() + body)


Start = Callable[..., Guarded]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server; settings by keyword."""
    with ExitStack() as stack:

        def begin(**settings: Any) -> Guarded:
            app = App(ServerSettings(**{"run_folder": tmp_path, **settings}))
            guards.install(app)
            routes(app)
            app.routes.add(
                "GET", "/health", lambda exchange: app.routes.find("GET", "/static").endpoint(exchange)
            )
            return Guarded(stack.enter_context(running(app)))

        yield begin
