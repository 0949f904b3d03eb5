"""Telling somebody else's server that a job has ended: only where the settings allow it, and signed."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from clouddeploy.errors import SpecError
from clouddeploy.runtime.errors import WireError

if TYPE_CHECKING:
    from clouddeploy.server.settings import ServerSettings

HEADER = "x-webhook-url"
SIGNATURE = "x-clouddeploy-signature"
PAUSES_S = (0.5, 2.0, 8.0, 32.0)
"""Between two attempts; after the last one it is given up."""
TIMEOUT_S = 10.0
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Webhooks:
    """Where the end of a job may be told.

    Args:
        allowed: beginnings of URLs; empty for nowhere.
        key: signs what is told.
    """

    allowed: tuple[SplitResult, ...] = ()
    key: bytes = b""

    @classmethod
    def of(cls, settings: ServerSettings) -> Webhooks:
        """As the settings say.

        Raises:
            SpecError: a beginning is no URL, or there is no key.
        """
        texts = [text.strip() for text in settings.webhooks.split(",") if text.strip()]
        if not texts:
            return cls()
        for text in texts:
            if _split(text) is None:
                raise SpecError(
                    f"ServerSettings.webhooks has {text!r}",
                    why="allowed: beginnings of http or https URLs without a user",
                    fix="write https://host/path/",
                )
        try:
            key = Path(settings.webhook_key).read_bytes().strip() if settings.webhook_key.name else b""
        except OSError as error:
            raise SpecError(
                f"the key {settings.webhook_key} can't be read", why=str(error), fix="correct webhook_key"
            ) from error
        if len(key) < 16:
            raise SpecError(
                "webhooks need a key of at least 16 bytes to sign what they tell",
                why=f"webhook_key is {str(settings.webhook_key)!r}",
                fix="name a file with a random secret",
            )
        return cls(tuple(split for text in texts if (split := _split(text)) is not None), key)

    def check(self, url: str) -> None:
        """Refuse a URL that isn't allowed.

        Raises:
            WireError: ``forbidden`` or ``bad_request``.
        """
        if not self.allowed:
            raise WireError("forbidden", "this server tells no webhooks", "ask for the job's state instead")
        wanted = _split(url)
        if wanted is None:
            raise WireError("bad_request", f"{HEADER} is {url[:80]!r}", "send an http or https URL")
        if not any(_begins(wanted, one) for one in self.allowed):
            raise WireError(
                "forbidden", "this server tells nothing to that URL", "ask who runs it to allow it"
            )

    def tell(self, url: str, body: bytes) -> None:
        """Send `body`, signed; redirects aren't followed.

        Raises:
            OSError, http.client.HTTPException: it can't be reached, or the answer isn't 2xx.
        """
        parts = urlsplit(url)
        at = str(int(time.time()))
        headers = {
            "content-type": "application/json",
            "user-agent": "clouddeploy",
            SIGNATURE: f"t={at},v1={sign(self.key, at, body)}",
        }
        connection: http.client.HTTPConnection
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=context)
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body, headers)
            status = connection.getresponse().status
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise http.client.HTTPException(f"it answered {status}")


def sign(key: bytes, at: str, body: bytes) -> str:
    """HMAC-SHA256 over the time, a full stop and the body, in hexadecimal."""
    return hmac.new(key, at.encode() + b"." + body, hashlib.sha256).hexdigest()


def _split(url: str) -> SplitResult | None:
    if len(url) > 2000 or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        fits = parts.scheme in PORTS and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return None
    return parts if fits and "/.." not in parts.path and "%" not in parts.path else None


def _begins(url: SplitResult, allowed: SplitResult) -> bool:
    def place(parts: SplitResult) -> tuple[str, str | None, int]:
        return parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme]

    base = (allowed.path or "/").rstrip("/")
    path = url.path or "/"
    return place(url) == place(allowed) and (path == base or path.startswith(base + "/"))
