"""However the bytes are cut, the answers are the same; whatever the bytes are, nothing else comes of them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.app import App
from clouddeploy.server.chunks import Chunks
from clouddeploy.server.connection import Connection
from clouddeploy.server.heads import END, Heads
from clouddeploy.server.settings import ServerSettings
from tests.unit.server_http.rig import GET, routes

VARYING = re.compile(rb"x-request-id: [^\r]+\r\n")
LIMIT = 512


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def get_extra_info(self, name: str) -> Any:
        return None

    def close(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Nothing is read from anywhere."""

    resume_reading = abort = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0


def answers(parts: list[bytes]) -> bytes:
    """What the server writes when `parts` arrive one after the other."""
    wire = Wire()

    async def feed() -> None:
        app = App(ServerSettings(body_limit=LIMIT, head_limit=LIMIT))
        routes(app)
        connection = Connection(app)
        connection.connection_made(wire)  # type: ignore[arg-type]
        for part in parts:
            connection.data_received(part)
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        while connection._buffer and connection.exchange is None and not wire.closed:
            before = connection._buffer
            await asyncio.sleep(0)
            if connection._buffer == before and END not in before:
                break
        while connection.exchange is not None:
            await asyncio.sleep(0)
        for _ in range(60):
            await asyncio.sleep(0)
        assert app.held == (connection._held if connection._body is not None else 0)

    asyncio.run(feed())
    return VARYING.sub(b"", wire.written)


BODIES = st.binary(max_size=60)


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """`body` in chunks of these sizes, then of the rest."""
    out = b""
    for size in sizes:
        part, body = body[:size], body[size:]
        out += b"%x\r\n%b\r\n" % (len(part), part) if part else b""
    return out + (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"


REQUESTS = st.one_of(
    st.just(GET),
    st.just(b"HEAD /static HTTP/1.1\r\nhost: x\r\n\r\n"),
    st.just(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n"),
    st.just(b"GET /static HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"),
    st.just(b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n"),
    BODIES.map(lambda b: b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(b), b)),
    st.tuples(BODIES, st.lists(st.integers(1, 20), max_size=4)).map(
        lambda t: b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(*t)
    ),
)
ODD = st.sampled_from(
    [b"", b"", b"\0\r\n\r\n", b"GET /static HTTP/1.1\r\n\r\n", b"x" * 600, b"GET /stat", b"\r\n\r\n"]
)
CUTS = st.lists(st.integers(1, 80), max_size=40)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """`data` in parts of these sizes, then the rest."""
    parts = []
    for size in sizes:
        parts.append(data[:size])
        data = data[size:]
    return [part for part in [*parts, data] if part]


@given(st.lists(REQUESTS, max_size=8), ODD, CUTS)
def test_answers_don_t_depend_on_how_the_bytes_are_cut(
    requests: list[bytes], odd: bytes, sizes: list[int]
) -> None:
    data = b"".join(requests) + odd
    assert answers(cut(data, sizes)) == answers([data] if data else [])


@given(st.lists(REQUESTS, min_size=1, max_size=8))
def test_a_stream_is_answered_byte_by_byte_as_in_one(requests: list[bytes]) -> None:
    data = b"".join(requests)
    assert answers([data[i : i + 1] for i in range(len(data))]) == answers([data])


PIECES = st.sampled_from(
    [
        b"GET ", b"POST ", b"/echo", b"/static", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n", b"\r\n\r\n",
        b"\n", b"\r", b"\0", b" ", b"\t", b":", b"host: x", b"content-length: ", b"content-length: 3",
        b"transfer-encoding: chunked", b"connection: close", b"3", b"abc", b"0", b"5;x", b"\xff",
        b"expect: 100-continue",
    ]
)  # fmt: skip
SOUP = st.lists(st.one_of(PIECES, st.binary(max_size=4)), max_size=30).map(b"".join)


@given(SOUP)
def test_any_bytes_get_answers_of_known_kinds_or_none(data: bytes) -> None:
    found = answers([data] if data else [])
    for status in re.findall(rb"HTTP/1\.1 (\d+)", found):
        assert status in (b"100", b"200", b"400", b"404", b"405", b"413", b"431")


@given(st.one_of(st.binary(max_size=200), SOUP))
def test_any_head_is_parsed_or_refused(data: bytes) -> None:
    head = data + END
    try:
        found = Heads().parse(head[: head.index(END) + 4])
    except WireError as error:
        known = error.code in ("bad_request", "head_too_large", "unsupported_media_type")
    else:
        known = found.path.startswith("/") or found.path == "*"
        assert all("\n" not in value and "\0" not in value for value in found.headers.values())
    assert known


@given(st.one_of(st.binary(max_size=200), SOUP), CUTS)
def test_any_chunks_are_read_the_same_however_they_are_cut(data: bytes, sizes: list[int]) -> None:
    def read(parts: list[bytes]) -> tuple[bytes, bytes] | str | None:
        chunks = Chunks(100)
        for number, part in enumerate(parts):
            try:
                found = chunks.feed(part)
            except WireError as error:
                return error.code
            if found is not None:
                return found[0], found[1] + b"".join(parts[number + 1 :])
        return None

    assert read(cut(data, sizes)) == read([data])


@given(BODIES, st.lists(st.integers(1, 20), max_size=5), st.binary(max_size=20))
def test_chunks_give_the_body_and_what_follows(body: bytes, sizes: list[int], after: bytes) -> None:
    assert Chunks(100).feed(chunked(body, sizes) + after) == (body, after)
