"""As much of HTTP/1.1 as it takes to pass requests on: where heads and bodies end, and nothing more.

What is ambiguous about the end of a request is refused (RFC 9112, section 6.3 and 11.2), so that the
servers behind never see another request than the one that was counted here.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass

BLOCK = 256 << 10
LINE = 256
END = b"\r\n\r\n"
HOP = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"expect", b"te"))
"""Headers that are about one connection only (RFC 9110, section 7.6.1)."""
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
FIRST = re.compile(rb"([A-Z]+) ([^\s\0]+) HTTP/1\.([01])")
STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n\0]*)?")
STATUSES = {
    "bad_request": (400, "Bad Request"),
    "too_slow": (408, "Request Timeout"),
    "head_too_large": (431, "Request Header Fields Too Large"),
    "prediction_failed": (500, "Internal Server Error"),
    "not_ready": (503, "Service Unavailable"),
    "out_of_time": (503, "Service Unavailable"),
}
"""Those of the wire contract's codes (`clouddeploy.runtime.errors`, which loads numpy) that are told here."""


class Refused(Exception):
    """A request that isn't passed on, or whose answer can't be.

    Args:
        code: one of `STATUSES`.
        message: what is wrong.
        fix: what the caller can do.
    """

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.code, self.message, self.fix = code, message, fix

    @property
    def status(self) -> int:
        """The HTTP status to answer."""
        return STATUSES[self.code][0]


@dataclass(frozen=True)
class Head:
    """The head of a request or a response.

    Args:
        first: its first line.
        fields: names in lower case, and values, without those that are about the connection.
        length: bytes of the body; -1 for chunks, -2 for up to the end of the connection.
        keep: the connection stays open afterwards.
        method: of a request.
        status: of a response; 0 for a request.
        expects: the client waits for ``100 Continue``.
    """

    first: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    length: int
    keep: bool
    method: bytes = b""
    status: int = 0
    expects: bool = False

    def encode(self, *more: tuple[bytes, bytes]) -> bytes:
        """Its bytes, with further fields."""
        lines = [b"%b: %b" % pair for pair in (*self.fields, *more)]
        return b"\r\n".join((self.first, *lines, b"", b""))


async def read_head(source: asyncio.StreamReader) -> bytes | None:
    """A head's bytes; None when the connection ended before one began.

    Raises:
        Refused: it is too long.
        asyncio.IncompleteReadError: the connection ended within it.
    """
    try:
        return await source.readuntil(END)
    except asyncio.IncompleteReadError as error:
        if not error.partial.strip():
            return None
        raise
    except asyncio.LimitOverrunError as error:
        raise Refused("head_too_large", "the request's head is too long", "send less") from error


def request_of(data: bytes) -> Head:
    """The head of a request.

    Raises:
        Refused: it isn't one.
    """
    first, *lines = data.lstrip(b"\r\n")[: -len(END)].split(b"\r\n")
    match = FIRST.fullmatch(first)
    if match is None:
        raise _bad(f"the request's first line is {first[:80]!r}")
    fields = _fields(lines)
    keep = _keeps(fields, new=match[3] == b"1")
    length = _length(fields)
    expects = dict(fields).get(b"expect", b"").lower() == b"100-continue"
    return Head(first, _kept(fields), 0 if length is None else length, keep, match[1], expects=expects)


def response_of(data: bytes, method: bytes) -> Head:
    """The head of a response to a request with `method`.

    Raises:
        Refused: it isn't one.
    """
    first, *lines = data[: -len(END)].split(b"\r\n")
    match = STATUS.fullmatch(first)
    if match is None:
        raise _bad(f"the answer's first line is {first[:80]!r}")
    fields, status = _fields(lines), int(match[1])
    length = _length(fields)
    if method == b"HEAD" or status in (204, 304) or status < 200:
        length = 0
    keep = _keeps(fields, new=first.startswith(b"HTTP/1.1")) and length is not None
    return Head(first, _kept(fields), -2 if length is None else length, keep, status=status)


async def relay(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, length: int, timeout_s: float
) -> None:
    """Pass a body of `length` (see `Head`) on as it comes; no piece of it may take longer than `timeout_s`.

    Raises:
        TimeoutError: it came, or was taken, too slowly.
        asyncio.IncompleteReadError: it ended too early.
        Refused: its chunks aren't such.
    """
    if length == -1:
        await _relay_chunks(source, sink, timeout_s)
        return
    left = length
    while left:
        async with asyncio.timeout(timeout_s):
            data = await source.read(BLOCK if left < 0 else min(left, BLOCK))
            if not data and left < 0:
                return
            if not data:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(data) if left > 0 else 0
            sink.write(data)
            await sink.drain()


async def _relay_chunks(source: asyncio.StreamReader, sink: asyncio.StreamWriter, timeout_s: float) -> None:
    last = False
    while not last:
        async with asyncio.timeout(timeout_s):
            line = await source.readuntil(b"\r\n")
        digits = line.partition(b";")[0].strip()
        if len(line) > LINE or not re.fullmatch(rb"[0-9a-fA-F]{1,15}", digits):
            raise _bad(f"a chunk's size is {line[:20]!r}")
        sink.write(line)
        size = int(digits, 16)
        last = not size
        if size:
            await relay(source, sink, size, timeout_s)
        # The line end of a chunk; after the last one trailers, and an empty line.
        while True:
            async with asyncio.timeout(timeout_s):
                end = await source.readuntil(b"\r\n")
            if not last and end != b"\r\n":
                raise _bad("a chunk is longer than it says")
            sink.write(end)
            if end == b"\r\n":
                break
        await sink.drain()


def refusal(error: Refused) -> bytes:
    """The wire contract's answer to `error`, after which the connection ends."""
    status, phrase = STATUSES[error.code]
    told = {"code": error.code, "message": error.message, "fix": error.fix}
    body = json.dumps({"error": told}, separators=(",", ":")).encode()
    retry = "retry-after: 1\r\n" if status == 503 else ""
    head = (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\n{retry}"
        f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    found = []
    for line in lines:
        match = FIELD.fullmatch(line)
        if match is None:
            raise _bad(f"the header {line[:80]!r} can't be read")
        found.append((match[1].lower(), match[2]))
    return found


def _kept(fields: list[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name, value) for name, value in fields if name not in HOP)


def _keeps(fields: list[tuple[bytes, bytes]], *, new: bool) -> bool:
    told = b",".join(value.lower() for name, value in fields if name == b"connection")
    return new and b"close" not in [one.strip() for one in told.split(b",")]


def _length(fields: list[tuple[bytes, bytes]]) -> int | None:
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise _bad("the length of the body is told more than once")
    if codings:
        if codings[0].lower() != b"chunked":
            raise _bad(f"the transfer coding {codings[0][:40]!r} isn't known; only 'chunked' is")
        return -1
    if not lengths:
        return None
    if not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise _bad(f"Content-Length is {lengths[0][:40]!r}")
    return int(lengths[0])


def _bad(message: str) -> Refused:
    return Refused("bad_request", message, "send HTTP/1.1 as RFC 9112 describes it")
