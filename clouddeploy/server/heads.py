"""The first line and headers of a request: found, checked and parsed, identical ones only once.

A client sends the same head with every request but for its length, and parsing it costs more than
anything else about a small request. What is ambiguous is refused, as RFC 9112 (sections 2.2, 3.2, 5, 6.3
and 11.2, "Request Smuggling") asks of a server.
"""

from __future__ import annotations

from urllib.parse import unquote

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.message import Head

END = b"\r\n\r\n"
MEMO_BYTES = 2048
MEMO_HEADS = 1024
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))
JOINED = frozenset(("content-length", "host", "authorization", "content-type", "transfer-encoding"))
"""Headers that mean one thing; a second one of that name is refused."""


class _Parts:
    """What httptools tells of a head."""

    __slots__ = ("complete", "headers", "url")

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete = True


class Heads:
    """Parses heads and remembers them.

    Args:
        limit: headers of one request at the most.
    """

    def __init__(self, limit: int = 128) -> None:
        self._limit = limit
        self._known: dict[bytes, Head] = {}

    def parse(self, data: bytes) -> Head:
        """The head in `data`, which ends with an empty line.

        Raises:
            WireError: ``bad_request``, with what is wrong.
        """
        head = self._known.get(data)
        if head is None:
            head = _parsed(data, self._limit)
            if len(data) <= MEMO_BYTES:
                if len(self._known) >= MEMO_HEADS:
                    self._known.clear()
                self._known[data] = head
        return head


def bad(message: str) -> WireError:
    """A request that isn't HTTP as we take it."""
    return WireError("bad_request", message, "send HTTP/1.1 as RFC 9112 describes it")


def _parsed(data: bytes, limit: int) -> Head:
    import httptools

    parts = _Parts()
    parser = httptools.HttpRequestParser(parts)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade as error:
        raise bad("the connection can't be upgraded to another protocol") from error
    except httptools.HttpParserError as error:
        raise bad(f"the request's head can't be read: {error}") from error
    if not parts.complete:
        raise bad("the request's head isn't complete")
    method = parser.get_method().decode("latin-1")
    if method not in METHODS:
        raise bad(f"the method {method[:20]!r} isn't known")
    if len(parts.headers) > limit:
        raise WireError("head_too_large", f"the request has over {limit} headers", "send fewer")
    headers = _joined(parts.headers)
    version = parser.get_http_version()
    path, query = _target(parts.url)
    length = _length(headers)
    return Head(
        method=method,
        path=path,
        query=query,
        headers=headers,
        length=length,
        keep=parser.should_keep_alive(),
        version=version,
        expects=headers.get("expect", "").lower() == "100-continue" and length != 0,
    )


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw, value in pairs:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1").strip()
        if name not in found:
            found[name] = text
        elif name in JOINED:
            raise bad(f"the header {name!r} stands twice")
        else:
            found[name] = f"{found[name]}, {text}"
    return found


def _length(headers: dict[str, str]) -> int:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if length is not None:
            raise bad("both Content-Length and Transfer-Encoding are given")
        if coding.lower() != "chunked":
            raise bad(f"the transfer coding {coding[:40]!r} isn't known; only 'chunked' is")
        return -1
    if length is None:
        return 0
    if not length.isascii() or not length.isdigit() or len(length) > 18:
        raise bad(f"Content-Length is {length[:40]!r}")
    return int(length)


def _target(url: bytes) -> tuple[str, str]:
    text = url.decode("latin-1")
    if not text.startswith("/"):
        _, scheme, rest = text.partition("://")
        text = f"/{rest.partition('/')[2]}" if scheme else text
        if not text.startswith("/") and text != "*":
            raise bad(f"the request's target is {text[:80]!r}")
    path, _, query = text.partition("?")
    return (unquote(path, errors="strict") if "%" in path and _decodes(path) else path), query


def _decodes(path: str) -> bool:
    try:
        unquote(path, errors="strict")
    except UnicodeDecodeError as error:
        raise bad("the path isn't UTF-8 when it is decoded") from error
    return True
