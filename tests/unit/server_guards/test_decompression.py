"""Compressed bodies: refused, or read within limits."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.guards.decompression import FREE, Inflater
from tests.unit.server_guards.conftest import Start


def test_compressed_bodies_are_refused_by_default(start: Start) -> None:
    answer = start().ask("/echo", "POST", gzip.compress(b"x", mtime=0), content_encoding="gzip")
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert start().ask("/echo", "POST", b"x", content_encoding="identity").body == b"x"


def test_compressed_bodies_are_read_when_that_is_on(start: Start) -> None:
    asked = start(inflate=True)
    data = b"some body " * 1000
    assert asked.ask("/echo", "POST", gzip.compress(data, mtime=0), content_encoding="gzip").body == data
    assert asked.ask("/echo", "POST", gzip.compress(data, mtime=0), content_encoding="X-Gzip").body == data
    assert asked.ask("/echo", "POST", zlib.compress(data), content_encoding="deflate").body == data
    assert asked.ask("/echo", "POST", b"plain").body == b"plain"
    for coding in ("br", "zstd", "gzip, gzip"):
        answer = asked.ask("/echo", "POST", b"x", content_encoding=coding)
        assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate")


def test_bombs_do_not_go_off() -> None:
    inflater = Inflater(1 << 20, ratio=10)
    with pytest.raises(WireError, match="more than 65536 bytes") as caught:
        inflater.inflated(gzip.compress(bytes(100 << 20)[: 50 << 20], mtime=0)[:5000], 31)
    assert caught.value.code == "too_large"
    with pytest.raises(WireError, match="more than 1048576 bytes"):
        Inflater(1 << 20, ratio=10_000).inflated(gzip.compress(bytes(2 << 20), mtime=0), 31)
    assert Inflater(1 << 20, ratio=1).inflated(gzip.compress(bytes(FREE), mtime=0), 31) == bytes(FREE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain",
        gzip.compress(b"x" * 100, mtime=0)[:-1],
        gzip.compress(b"x", mtime=0) + b"more",
        zlib.compress(b"x"),
    ],
)
def test_what_is_damaged_is_refused(data: bytes) -> None:
    with pytest.raises(WireError) as caught:
        Inflater(1000, 10).inflated(data, 31)
    assert caught.value.code == "bad_request"


@given(st.binary(max_size=300), st.sampled_from([31, 15]))
def test_any_bytes_are_read_or_refused(data: bytes, window: int) -> None:
    try:
        found = Inflater(1000, 10).inflated(data, window)
    except WireError:
        found = b""
    assert len(found) <= 1000
