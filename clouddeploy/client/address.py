"""Where a server is: the parts of its URL, checked."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from clouddeploy.errors import SpecError

PORTS = {"http": 80, "https": 443}
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
FRAMING = frozenset(("content-length", "transfer-encoding"))
"""Headers that say where a request ends."""


@dataclass(frozen=True)
class Address:
    """A server's address.

    Args:
        scheme: ``http`` or ``https``.
        host: name or address, without the brackets of an IPv6 address.
        port: TCP port.
        prefix: what every path begins with; empty or ``/something`` without a slash at the end.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @classmethod
    def of(cls, url: str) -> Address:
        """Read `url`.

        Raises:
            SpecError: it is no HTTP address, or holds something that would be lost.
        """
        if not isinstance(url, str):
            raise _wrong(url, f"it is no text, but of type {type(url).__name__}")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise _wrong(url, str(error)) from error
        if parts.scheme not in PORTS or not parts.hostname:
            raise _wrong(url, "it doesn't begin with http:// or https:// and a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise _wrong(url, "a user, a query or a fragment is no part of a server's address")
        if not re.fullmatch(r"[\x21-\x7e]*", parts.hostname + parts.path):
            raise _wrong(url, "it holds spaces, control characters or others than ASCII")
        if port == 0 or not _is_host(parts.hostname):
            raise _wrong(url, "its port is 0" if port == 0 else "no host can have that name")
        default = PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, default if port is None else port, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """Host and port as the ``Host`` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.prefix}"

    def tls(self, given: ssl.SSLContext | None) -> ssl.SSLContext | None:
        """How to encrypt: not at all for http, `given` or the system's trust for https."""
        if self.scheme == "http":
            return None
        return given or ssl.create_default_context()


def check_header(name: object, value: object) -> None:
    """Refuse what would break out of its line.

    Raises:
        SpecError: the name or the value holds characters that a header can't.
    """
    if not isinstance(name, str) or not isinstance(value, str):
        kinds = f"{type(name).__name__} and {type(value).__name__}"
        raise SpecError(
            f"headers: {name!r} can't be sent",
            why=f"allowed: texts, not {kinds}",
            fix="give name and value as text",
        )
    if name.lower() in FRAMING:
        raise SpecError(
            f"the header {name.lower()!r} can't be given", why="it is made from the body", fix="leave it away"
        )
    if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
        raise SpecError(
            f"the header {name!r} can't be sent",
            why="its name or value holds line breaks, control characters or others than Latin-1",
            fix="correct it",
        )


def _is_host(name: str) -> bool:
    """Whether a resolver takes it: no label is empty or above 63 characters."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def _wrong(url: object, why: str) -> SpecError:
    return SpecError(f"{url!r} is no server's address", why=why, fix="give one such as http://127.0.0.1:8080")
