"""Which web pages may ask (CORS, WHATWG Fetch): none, unless the settings name their origins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clouddeploy.errors import SpecError
from clouddeploy.server.message import Headers, Response

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange

ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+|null")
HEADERS = "authorization, content-type, x-api-key, x-request-id, x-timeout-ms"
EXPOSED = "retry-after, x-request-id, x-clouddeploy-error"
MAX_AGE_S = 600
VARY: Headers = (("vary", "origin"),)


def install(app: App) -> None:
    """Answer pages of the origins in the settings.

    Raises:
        SpecError: one is no origin.
    """
    origins = [text.strip() for text in app.settings.cors_origins.split(",") if text.strip()]
    if not origins:
        return
    for origin in origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise SpecError(
                f"ServerSettings.cors_origins has {origin!r}",
                why="allowed: scheme and host, such as https://example.com, or * for any",
                fix="correct it",
            )
    cors = Cors(app, frozenset(origins))
    app.before.append(cors.preflight)
    app.adding.append(cors.headers)


class Cors:
    """Tells browsers what pages may do.

    Args:
        app: whose paths they ask for.
        origins: that may; ``*`` among them for any.
    """

    def __init__(self, app: App, origins: frozenset[str]) -> None:
        self._app, self._origins, self._any = app, origins, "*" in origins
        self._known: dict[str, Headers] = {}

    def headers(self, exchange: Exchange) -> Headers:
        """What is added to a response. Credentials such as cookies are never allowed: none are used here."""
        origin = exchange.request.head.headers.get("origin")
        if self._any:
            return () if origin is None else self._allowed("*")
        if origin not in self._origins:
            return VARY
        return self._allowed(origin)

    def _allowed(self, origin: str) -> Headers:
        found = self._known.get(origin)
        if found is None:
            named = (("access-control-allow-origin", origin), ("access-control-expose-headers", EXPOSED))
            found = self._known[origin] = named if origin == "*" else (*VARY, *named)
        return found

    def preflight(self, exchange: Exchange) -> Response | None:
        """The answer to a browser that asks beforehand, which carries no credentials."""
        head = exchange.request.head
        if head.method != "OPTIONS" or "access-control-request-method" not in head.headers:
            return None
        origin = head.headers.get("origin", "")
        if not self._any and origin not in self._origins:
            return Response(204)
        methods = ", ".join(self._app.routes.allowed(head.path)) or "GET, POST"
        return Response(
            204,
            headers=(
                ("access-control-allow-methods", methods),
                ("access-control-allow-headers", HEADERS),
                ("access-control-max-age", str(MAX_AGE_S)),
            ),
        )
