"""``/openapi.json`` (OpenAPI 3.1) of what is loaded; ``/docs`` shows it and sends its examples."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.runtime.decode import CSV, JSON, NPY
from clouddeploy.runtime.errors import STATUS
from clouddeploy.server.message import Headers, Response
from clouddeploy.server.protocols import operations, v2

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models import Loaded

PAGE = Path(__file__).with_name("docs.html")
MEDIA = (JSON, NPY, CSV)


def install(app: App) -> None:
    """Add ``/openapi.json`` and ``/docs``."""
    known: dict[tuple[tuple[str, str, str], ...], bytes] = {}

    def document_of(exchange: Exchange) -> None:
        loaded = app.models.all()
        key = tuple((one.name, one.version, one.release) for one in loaded)
        if key not in known:
            known.clear()
            known[key] = json.dumps(document(loaded, app), separators=(",", ":")).encode()
        exchange.reply(Response(200, known[key]))

    def page(exchange: Exchange) -> None:
        body = PAGE.read_bytes()
        exchange.reply(Response(200, body, "text/html; charset=utf-8", page_headers(body)))

    app.routes.add("GET", "/openapi.json", document_of)
    app.routes.add("GET", "/docs", page)


def page_headers(page: bytes) -> Headers:
    """A policy under which the page's own script and style run, and nothing else does.

    "Content Security Policy Level 3", hash sources.
    """

    def source(tag: str) -> str:
        found = re.search(rf"<{tag}>(.*?)</{tag}>", page.decode(), re.DOTALL)
        digest = hashlib.sha256((found[1] if found else "").encode()).digest()
        return f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'"

    rules = ("default-src 'none'", "connect-src 'self'", source("script"), source("style"))
    return (("content-security-policy", "; ".join(rules)), ("cache-control", "no-cache"))


def document(loaded: list[Loaded], app: App) -> dict[str, Any]:
    """The OpenAPI document of a server with these models."""
    paths: dict[str, Any] = {}
    first = next((one for one in loaded if one.name == app.settings.name), next(iter(loaded), None))
    if first is not None:
        paths |= operations.of_default(first, jobs=app.settings.jobs > 0)
    for name in dict.fromkeys(one.name for one in loaded):
        paths |= operations.of_model(next(one for one in loaded if one.name == name))
    paths |= operations.of_server()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "clouddeploy model server",
            "version": v2.version(),
            "description": "Models: " + (", ".join(f"{one.name} {one.version}" for one in loaded) or "none"),
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {
                            "type": "object",
                            "required": ["code", "message", "fix"],
                            "properties": {
                                "code": {"type": "string", "enum": sorted(STATUS)},
                                "message": {"type": "string"},
                                "fix": {"type": "string"},
                            },
                        }
                    },
                },
                "TextError": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "string"}},
                },
            }
        },
    }
