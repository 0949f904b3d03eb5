"""HTTP/1.1 (RFC 9112) without a socket: a request's bytes, and an answer put together from bytes.

Both clients and the load generator use it, so that they differ in nothing but how they wait.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

END = b"\r\n\r\n"
HEAD_LIMIT = 64 << 10
LINE_LIMIT = 4 << 10
BODILESS = frozenset((204, 304))
FIRST = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.S)


class Malformed(Exception):
    """What came is no HTTP answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Args:
        status: 200 to 599.
        headers: by lower-case name; several of one name are joined by a comma.
        body: its bytes.
        keep: the connection can be used again.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    keep: bool


def request_bytes(method: str, target: str, host: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request as it goes over the wire.

    Method and headers are checked by whoever gives them; names are in lower case. A ``host`` among them wins.
    """
    lines = [f"{method} {target} HTTP/1.1\r\n"]
    if "host" not in headers:
        lines.append(f"host: {host}\r\n")
    lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"content-length: {len(body)}\r\n")
    return b"".join(("".join(lines).encode("latin-1"), b"\r\n", body))


class Reader:
    """Takes an answer's bytes until it is complete.

    Args:
        limit: bytes of a body at the most.
        bodiless: the request was HEAD: no body follows, whatever the headers say.
    """

    def __init__(self, limit: int, *, bodiless: bool = False) -> None:
        self._limit = limit
        self._bodiless = bodiless
        self._buffer = bytearray()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._keep = True
        self._left = 0
        self._body = bytearray()
        self._how = "head"
        self.started = False

    def feed(self, data: bytes) -> Answer | None:
        """Add `data`; the answer when that completes it.

        Raises:
            Malformed: it isn't HTTP, or larger than allowed.
        """
        self.started = True
        self._buffer += data
        while self._how == "head":
            if not self._head():
                return None
        if self._how == "length":
            return self._counted()
        if self._how == "chunks":
            return self._chunks()
        self._check(len(self._buffer))
        return None

    def eof(self) -> Answer | None:
        """The connection was closed; the answer if that is how it ends."""
        if self._how != "close":
            return None
        self._keep = False
        return self._done(bytes(self._buffer))

    def _head(self) -> bool:
        end = self._buffer.find(END)
        if end > HEAD_LIMIT or (end < 0 and len(self._buffer) > HEAD_LIMIT):
            raise Malformed(f"its head has over {HEAD_LIMIT} bytes")
        if end < 0:
            return False
        first, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        match = FIRST.fullmatch(first)
        if match is None:
            raise Malformed(f"it begins with {first[:40]!r}")
        self._status, self._headers = int(match[2]), _headers(lines)
        if 100 <= self._status < 200:
            if self._status == 101:
                raise Malformed("it switches to another protocol")
            return True
        connection = self._headers.get("connection", "").lower()
        self._keep = "close" not in connection if match[1] == b"1" else "keep-alive" in connection
        self._how = self._framing()
        return True

    def _framing(self) -> str:
        """How the body ends (RFC 9112, section 6.3)."""
        coding, length = self._headers.get("transfer-encoding"), self._headers.get("content-length")
        if self._bodiless or self._status in BODILESS:
            return "length"
        if coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise Malformed("Transfer-Encoding is something else than chunked alone")
            self._left = -1
            return "chunks"
        if length is None:
            return "close"
        if not length.isascii() or not length.isdigit() or len(length) > 18:
            raise Malformed(f"Content-Length is {length[:40]!r}")
        self._left = int(length)
        self._check(self._left)
        return "length"

    def _counted(self) -> Answer | None:
        if len(self._buffer) < self._left:
            return None
        self._keep = self._keep and len(self._buffer) == self._left
        return self._done(bytes(self._buffer[: self._left]))

    def _chunks(self) -> Answer | None:
        while True:
            if self._left < 0:
                line = self._line()
                if line is None:
                    return None
                match = SIZE.fullmatch(line)
                if match is None:
                    raise Malformed(f"a chunk begins with {line[:40]!r}")
                self._left = int(match[1], 16)
                self._check(len(self._body) + self._left)
            if self._left == 0:
                return self._trailers()
            if len(self._buffer) < self._left + 2:
                return None
            if self._buffer[self._left : self._left + 2] != b"\r\n":
                raise Malformed("a chunk is longer than it says")
            self._body += self._buffer[: self._left]
            del self._buffer[: self._left + 2]
            self._left = -1

    def _trailers(self) -> Answer | None:
        while True:
            line = self._line()
            if line is None:
                return None
            if not line:
                self._keep = self._keep and not self._buffer
                return self._done(bytes(self._body))

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end > LINE_LIMIT or (end < 0 and len(self._buffer) > LINE_LIMIT):
            raise Malformed("a line between chunks is too long")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise Malformed(f"its body has {size:,} bytes; at most {self._limit:,} are read")

    def _done(self, body: bytes) -> Answer:
        return Answer(self._status, self._headers, body, self._keep)


def _headers(lines: list[bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        raw, colon, value = line.partition(b":")
        if not colon or not raw or raw != raw.strip() or b"\n" in line or b"\r" in line:
            raise Malformed(f"a header is {line[:60]!r}")
        name, text = raw.decode("latin-1").lower(), value.strip(b" \t").decode("latin-1")
        if name in found and name == "content-length":
            if found[name] != text:
                raise Malformed("Content-Length stands twice, with different values")
        else:
            found[name] = f"{found[name]}, {text}" if name in found else text
    return found
