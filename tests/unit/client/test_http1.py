"""Answers come in any pieces, and nothing that comes breaks the reader."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clouddeploy.client.http1 import Answer, Malformed, Reader, request_bytes

LENGTH = b"HTTP/1.1 200 OK\r\nA: b\r\na: c\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nx: y\r\n\r\n"
CLOSED = b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello"


def feed(data: bytes, cuts: list[int], *, limit: int = 1000) -> Answer | None:
    reader = Reader(limit)
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(places):
        found = reader.feed(data[start:end])
        if found is not None:
            return found
    return reader.eof()


@given(st.sampled_from([LENGTH, CHUNKS, CLOSED]), st.lists(st.integers(0, 200), max_size=20))
def test_pieces_make_no_difference(data: bytes, cuts: list[int]) -> None:
    found = feed(data, cuts)
    assert found is not None
    assert (found.status, found.body) == (200, b"hello")
    assert found.keep is (data is not CLOSED)


def test_headers_of_one_name_are_joined() -> None:
    found = feed(LENGTH, [])
    assert found is not None
    assert found.headers["a"] == "b, c"


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda tail: CHUNKS[:40] + tail))
@example(b"HTTP/1.1 200 OK\r\ncontent-length: \xb2\r\n\r\n")
def test_any_bytes_are_read_refused_or_waited_for(data: bytes) -> None:
    try:
        feed(data, [3, 50])
    except Malformed:
        return


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 099 X\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabcd",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 5000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
    ],
)
def test_what_is_ambiguous_or_too_large_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        feed(data, [])


def test_a_head_request_has_no_body_and_bytes_after_an_answer_end_the_connection() -> None:
    found = Reader(10, bodiless=True).feed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
    assert found is not None
    assert (found.body, found.keep) == (b"", True)
    more = Reader(10).feed(LENGTH + b"HTTP")
    assert more is not None
    assert not more.keep


def test_a_request_has_its_length_also_when_it_is_empty() -> None:
    assert request_bytes("POST", "/x", "h", {"a": "b"}, b"") == (
        b"POST /x HTTP/1.1\r\nhost: h\r\na: b\r\ncontent-length: 0\r\n\r\n"
    )
    assert b"content-length" not in request_bytes("GET", "/x", "h", {}, b"")
