"""``/dashboard``: one page that shows how the server does, live, and the figures that it is drawn from."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import platform
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from clouddeploy.monitoring.history import EVERY_S, History
from clouddeploy.server.message import Headers, Response

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.observing import Observer

EVENTS = "text/event-stream"
LOOK_S = 0.25
"""How soon an open page lets a server go that stops."""
MOST_OPEN = 32
"""Pages that one worker keeps up to date."""
INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
FRESH: Headers = (("cache-control", "no-store"),)


def install(app: App, observer: Observer) -> None:
    """Add the page and its data."""
    shown = Dashboard(app, observer)
    app.on_start.append(shown.start)
    app.on_stop.append(shown.stop)
    app.routes.add("GET", "/dashboard", shown.page)
    app.routes.add("GET", "/dashboard/data", shown.data)


def policy(page: str) -> str:
    """A content security policy that lets `page` run its own script and style, and nothing else."""
    sources: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        sources[kind].append(f"'sha256-{digest}'")
    return (
        f"default-src 'none'; script-src {' '.join(sources['script'])}; "
        f"style-src {' '.join(sources['style'])}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class Dashboard:
    """The page of one worker, which shows all of them.

    Args:
        app: the worker's application.
        observer: counts.
    """

    def __init__(self, app: App, observer: Observer) -> None:
        self._app, self._observer = app, observer
        self.history = History(observer.snapshot)
        self._task: asyncio.Task[None] | None = None
        self._open = 0
        text = files(__package__).joinpath("page.html").read_text("utf-8")
        headers = (("content-security-policy", policy(text)), ("referrer-policy", "no-referrer"), *FRESH)
        self._page = Response(200, text.encode(), "text/html; charset=utf-8", headers)

    async def start(self) -> None:
        """Look every now and then from now on."""
        self._task = asyncio.ensure_future(self._looking())

    async def _looking(self) -> None:
        while True:
            self.history.sample()
            await asyncio.sleep(EVERY_S)

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    def page(self, exchange: Exchange) -> None:
        """Reply with the page."""
        exchange.reply(self._page)

    async def data(self, exchange: Exchange) -> None:
        """Reply with the figures, or with a stream of them where events are asked for."""
        if EVENTS not in exchange.request.headers.get("accept", "") or self._open >= MOST_OPEN:
            exchange.reply(Response(200, _json(self._all()), headers=FRESH))
            return
        stream = exchange.stream(200, EVENTS, FRESH)
        self._open += 1
        try:
            told = self._all()
            while not stream.closed and not self._app.draining:
                stream.write(b"data: %b\n\n" % _json(told))
                last = self._last
                while not stream.closed and not self._app.draining and self._last == last:
                    await asyncio.sleep(LOOK_S)
                told = self._figures()
        finally:
            self._open -= 1
            stream.close()

    @property
    def _last(self) -> float | None:
        return self.history.points[-1]["time"] if self.history.points else None

    def _all(self) -> dict[str, Any]:
        return {**self._figures(), "points": list(self.history.points)}

    def _figures(self) -> dict[str, Any]:
        """Everything but the past."""
        app = self._app
        server = {
            "host": platform.node(),
            "ready": app.ready,
            "draining": app.draining,
            "every": EVERY_S,
            "port": app.settings.port,
            "workers": app.settings.workers,
            "max_batch": app.settings.max_batch,
        }
        return {**self.history.now(), "server": server, "points": list(self.history.points)[-1:]}


def _json(value: Any) -> bytes:
    """`value` as JSON on one line; times to a microsecond, shares to a millionth."""
    return json.dumps(_rounded(value), separators=(",", ":"), allow_nan=False).encode()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
