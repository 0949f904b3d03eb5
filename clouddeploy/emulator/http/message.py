"""Requests and responses, and how they are read from and written to a stream.

Written by hand because it stands in the way of every prediction: the standard library's parser
costs more than the whole of what the embedded endpoint may add.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import unquote

from clouddeploy.emulator.http.streams import LINE_LIMIT, BadMessage, BodyStream, FilePart

__all__ = [
    "BadMessage", "Request", "Response", "body_stream", "read_body", "read_exactly", "read_head", "render",
]  # fmt: skip
HEADER_LIMIT = 256
BODILESS = frozenset({204, 304})


@dataclass(slots=True)
class Request:
    """One request. `headers` has lower-case names; `raw_headers` those that were sent.

    `stream` is there, and `body` empty, where the listener was asked not to read the body.
    """

    method: str
    target: str
    headers: dict[str, str]
    raw_headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    stream: BodyStream | None = None

    @property
    def raw_path(self) -> str:
        """The path as it was sent, percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self.raw_path)

    @property
    def query(self) -> str:
        """What follows the question mark, as it was sent."""
        return self.target.partition("?")[2]


@dataclass(slots=True)
class Response:
    """One response. `body` is complete, or `file` stands for it; its length is written by `render`."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    file: FilePart | None = None

    def header(self, name: str) -> str | None:
        """The value of the first header called `name` (any case)."""
        low = name.lower()
        return next((v for k, v in self.headers if k.lower() == low), None)


def read_head(stream: BinaryIO) -> tuple[str, list[tuple[str, str]]] | None:
    """The first line and the headers of a message, or None at the end of the stream."""
    first = stream.readline(LINE_LIMIT)
    if first in (b"\r\n", b"\n"):
        first = stream.readline(LINE_LIMIT)
    if not first:
        return None
    headers: list[tuple[str, str]] = []
    while True:
        line = stream.readline(LINE_LIMIT)
        if line in (b"\r\n", b"\n"):
            return first.decode("latin-1").strip(), headers
        name, colon, value = line.partition(b":")
        if not colon or len(headers) >= HEADER_LIMIT:
            raise BadMessage(f"bad header line {line[:80]!r}")
        headers.append((name.decode("latin-1").strip(), value.decode("latin-1").strip()))


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """`size` bytes of the stream."""
    body = stream.read(size) if size else b""
    if len(body) < size:
        raise BadMessage(f"the body ends after {len(body)} of {size} bytes")
    return body


def read_chunked(stream: BinaryIO) -> bytes:
    """A body in chunks, put together; trailers are read and dropped."""
    parts: list[bytes] = []
    while True:
        line = stream.readline(LINE_LIMIT)
        try:
            size = int(line.split(b";")[0].strip(), 16)
        except ValueError:
            raise BadMessage(f"bad chunk size {line[:40]!r}") from None
        if size == 0:
            break
        parts.append(read_exactly(stream, size))
        stream.readline(LINE_LIMIT)
    while stream.readline(LINE_LIMIT) not in (b"\r\n", b"\n", b""):
        continue
    return b"".join(parts)


def read_body(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    """The body that `headers` (lower-case names) announce."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return read_chunked(stream)
    return read_exactly(stream, _length(headers))


def body_stream(stream: BinaryIO, headers: dict[str, str]) -> BodyStream:
    """The same body, not read yet."""
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    return BodyStream(stream, None if chunked else _length(headers))


def _length(headers: dict[str, str]) -> int:
    length = headers.get("content-length", "0") or "0"
    if not length.isdigit():
        raise BadMessage(f"bad content-length {length[:40]!r}")
    return int(length)


def render(response: Response, *, head_only: bool = False, close: bool = False) -> list[bytes]:
    """The response's bytes, in as few pieces as sending takes."""
    status = response.status
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Status"
    lines = [f"HTTP/1.1 {status} {phrase}"]
    lines += [f"{k}: {v}" for k, v in response.headers if k.lower() not in ("content-length", "connection")]
    if status not in BODILESS:
        length = response.header("content-length") if head_only and not response.body else None
        size = response.file.size if response.file is not None else len(response.body)
        lines.append(f"Content-Length: {length if length is not None else size}")
    if close:
        lines.append("Connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
    if head_only or status in BODILESS or not response.body:
        return [head]
    if len(response.body) < LINE_LIMIT:
        return [head + response.body]
    return [head, response.body]
