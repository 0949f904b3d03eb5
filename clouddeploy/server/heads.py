"""The first line and headers of a request: found, checked and parsed, identical ones only once.

A client sends the same head with every request but for its length and what proxies and tracers add, and
parsing it costs more than anything else about a small request. What is ambiguous is refused, as RFC 9112
(sections 2.2, 3.2, 5, 6.3 and 11.2, "Request Smuggling") asks of a server.
"""

from __future__ import annotations

import contextlib
import re
from urllib.parse import unquote_to_bytes

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.message import Head
from clouddeploy.server.passing import PASSING, TEXT

END = b"\r\n\r\n"
MEMO_BYTES = 2048
MEMO_HEADS = 1024
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "QUERY"))
TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
LINE = re.compile(rb"[A-Z]{1,20} [\x21\x22\x24-\x7e\x80-\xff]+ HTTP/1\.[01]")
FIELD = re.compile(TOKEN + rb"+:" + TEXT + rb"*")
HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%-]*(:[0-9]*)?|\[[0-9A-Fa-f:.v]+\](:[0-9]*)?")
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
        compressed: bodies may be.
    """

    def __init__(self, limit: int = 128, *, compressed: bool = False) -> None:
        self._limit, self._compressed = limit, compressed
        self._known: dict[bytes, Head] = {}
        self._templates: dict[bytes, tuple[Head, int]] = {}

    def parse(self, data: bytes) -> Head:
        """The head in `data`, which ends with an empty line.

        Raises:
            WireError: ``bad_request``, with what is wrong.
        """
        head = self._known.get(data)
        if head is None:
            parts = PASSING.split(data) if len(data) <= MEMO_BYTES else [data]
            head = self._like_another(parts) if len(parts) > 1 else None
            if head is None:
                head = self._parsed(data)
                if len(parts) == 1 and len(data) <= MEMO_BYTES:
                    if len(self._known) >= MEMO_HEADS:
                        self._known.clear()
                    self._known[data] = head
        return head

    def _like_another(self, parts: list[bytes]) -> Head | None:
        """The head in `parts`, which differs from others in its passing headers; None if it is no head.

        Args:
            parts: text, name, value, text, name, value, …, text.
        """
        names = [name.decode().lower() for name in parts[1::3]]
        rest = b"".join(parts[::3])
        found = self._templates.get(rest)
        if found is None:
            try:
                found = self._parsed(rest), rest.count(b"\r\n") - 2
            except WireError:
                return None  # the whole tells better what is wrong
            if len(self._templates) >= MEMO_HEADS:
                self._templates.clear()
            self._templates[rest] = found
        head, lines = found
        if len(set(names)) < len(names) or lines + len(names) > self._limit:
            return None
        return head.with_headers(
            [
                (name, value.decode("latin-1").strip(" \t"))
                for name, value in zip(names, parts[2::3], strict=True)
            ]
        )

    def _parsed(self, data: bytes) -> Head:
        head = _parsed(data, self._limit)
        if not self._compressed and head.headers.get("content-encoding", "identity").lower() != "identity":
            raise WireError("unsupported_media_type", "the body is compressed", "send it as it is")
        return head


def bad(message: str) -> WireError:
    """A request that isn't HTTP as we take it."""
    return WireError("bad_request", message, "send HTTP/1.1 as RFC 9112 describes it")


def _parsed(data: bytes, limit: int) -> Head:
    import httptools

    _check_lines(data, limit)
    parts = _Parts()
    parser = httptools.HttpRequestParser(parts)
    try:
        # An upgrade, to HTTP/2 or WebSocket, is an offer that a server may leave alone (RFC 9110, 7.8).
        with contextlib.suppress(httptools.HttpParserUpgrade):
            parser.feed_data(data)
    except httptools.HttpParserError as error:
        raise bad(f"the request's head can't be read: {error}") from error
    if not parts.complete:
        raise bad("the request's head isn't complete")
    method = parser.get_method().decode("latin-1")
    if method not in METHODS:
        raise bad(f"the method {method[:20]!r} isn't known")
    headers = _joined(parts.headers)
    version = parser.get_http_version()
    _check_host(headers, version)
    path, query = _target(parts.url)
    length = _length(headers, version)
    return Head(
        method=method,
        path=path,
        query=query,
        headers=headers,
        length=length,
        keep=_keeps(headers, version),
        version=version,
        expects=headers.get("expect", "").lower() == "100-continue" and length != 0 and version != "1.0",
    )


def _check_lines(data: bytes, limit: int) -> None:
    """See that each line is one line for everybody: what a proxy before us may read otherwise is refused."""
    first, *fields = data[: -len(END)].split(b"\r\n")
    if LINE.fullmatch(first) is None:
        raise bad(f"the request's first line is {first[:80]!r}")
    if len(fields) > limit:
        raise WireError("head_too_large", f"the request has over {limit} headers", "send fewer")
    for field in fields:
        if FIELD.fullmatch(field) is None:
            raise bad(f"a line of the request's head is {field[:80]!r}")


def _check_host(headers: dict[str, str], version: str) -> None:
    host = headers.get("host")
    if host is None and version != "1.0":
        raise bad("the header 'host' is missing")
    if host is not None and HOST.fullmatch(host) is None:
        raise bad(f"the header 'host' is {host[:80]!r}")


def _keeps(headers: dict[str, str], version: str) -> bool:
    """Whether the client wants the connection to stay open."""
    words = {word.strip() for word in headers.get("connection", "").lower().split(",")}
    return "close" not in words and (version != "1.0" or "keep-alive" in words)


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw, value in pairs:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")
        if name not in found:
            found[name] = text
        elif name in JOINED:
            raise bad(f"the header {name!r} stands twice")
        else:
            found[name] = f"{found[name]}, {text}"
    return found


def _length(headers: dict[str, str], version: str) -> int:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if length is not None:
            raise bad("both Content-Length and Transfer-Encoding are given")
        if coding.lower() != "chunked":
            raise bad(f"the transfer coding {coding[:40]!r} isn't known; only 'chunked' is")
        if version == "1.0":
            raise bad("HTTP/1.0 has no Transfer-Encoding")
        return -1
    if length is None:
        return 0
    if not length.isascii() or not length.isdigit() or len(length) > 18:
        raise bad(f"Content-Length is {length[:40]!r}")
    return int(length)


def _target(url: bytes) -> tuple[str, str]:
    """Path, decoded, and query. Of an absolute target the authority doesn't matter here."""
    if not url.startswith(b"/") and url != b"*":
        scheme, parted, rest = url.partition(b"://")
        if not parted or scheme.lower() not in (b"http", b"https"):
            raise bad(f"the request's target is {url[:80]!r}")
        at = min(i for i in (rest.find(b"/"), rest.find(b"?"), len(rest)) if i >= 0)
        url = rest[at:] if rest[at : at + 1] == b"/" else b"/" + rest[at:]
    path, _, query = url.partition(b"?")
    try:
        return unquote_to_bytes(path).decode(), query.decode("latin-1")
    except UnicodeDecodeError as error:
        raise bad("the path isn't UTF-8 when it is decoded") from error
