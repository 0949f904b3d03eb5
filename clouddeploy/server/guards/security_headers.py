"""Headers that keep browsers from doing more with an answer than reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clouddeploy.server.message import Headers

if TYPE_CHECKING:
    from clouddeploy.server.app import App

ALWAYS: Headers = (("x-content-type-options", "nosniff"),)
PAGES: Headers = (
    (
        "content-security-policy",
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
)
"""Our own pages carry their scripts and styles in them."""
TLS: Headers = (("strict-transport-security", "max-age=31536000"),)


def install(app: App) -> None:
    """Add them, unless the settings switch them off. They cost nothing: they are part of remembered heads."""
    if app.settings.security_headers:
        secure = TLS if app.settings.tls_certificate.name else ()
        app.response_heads.always = (*ALWAYS, *secure)
        app.response_heads.pages = PAGES
