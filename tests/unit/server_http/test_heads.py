"""Heads that differ in what proxies and tracers add are parsed as if each were the first."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.heads import Heads
from clouddeploy.server.message import Head

NAMES = st.sampled_from(
    [
        *("X-Request-Id", "traceparent", "TraceState", "Cookie", "authorization", "x-b3-spanid", "B3"),
        *("Host", "Content-Type", "Accept", "X-Timeout-Ms", "X-Forwarded-For", "x-request-id ", "x-b3-"),
        *("Transfer-Encoding", "Content-Length", "Connection", "Expect", "Content-Encoding", "Cookie2"),
    ]
)
VALUES = st.one_of(
    st.sampled_from(["", "1", "chunked", "a, b", " a\t", "close", "100-continue", "gzip", "é", "x\x00y"]),
    st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=12),
)
LINES = st.lists(st.tuples(NAMES, VALUES), max_size=8)
FIRST = st.sampled_from(["POST /predict HTTP/1.1", "GET /live?x=1 HTTP/1.0", "GET  / HTTP/1.1"])


def head_of(first: str, lines: Any) -> bytes:
    text = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return f"{first}\r\nhost: a\r\n{text}\r\n".encode("latin-1")


def parsed(heads: Heads, data: bytes) -> tuple[Any, ...]:
    try:
        head = heads.parse(data)
    except WireError as error:
        return error.code, error.message
    return head, head.accept, head.content_type, head.timeout, head.ending


@given(FIRST, LINES, LINES, st.integers(3, 12))
@example("POST /predict HTTP/1.1", [("x-request-id", "a")], [("x-request-id", "b"), ("cookie", "c")], 12)
@example("POST /predict HTTP/1.1", [("x-request-id", "a"), ("X-Request-ID", "b")], [], 12)
@example("POST /predict HTTP/1.1", [("cookie", "a")] * 3, [("accept", "b")] * 3, 3)
def test_a_head_is_read_alike_whatever_was_read_before(first: str, one: Any, other: Any, limit: int) -> None:
    used = Heads(limit)
    for lines in (one, other, one, [*one, *other]):
        data = head_of(first, lines)
        alone = parsed(Heads(limit), data)
        assert parsed(used, data) == alone
        whole = Heads(limit)
        whole._like_another = lambda parts: None  # type: ignore[method-assign]
        assert parsed(whole, data) == alone, "and as it is read as a whole"


def test_requests_with_ids_of_their_own_leave_the_known_heads_alone() -> None:
    heads = Heads()
    usual = heads.parse(head_of("POST /predict HTTP/1.1", []))
    found: list[Head] = [
        heads.parse(head_of("POST /predict HTTP/1.1", [("x-request-id", str(n))])) for n in range(3000)
    ]
    assert [head.headers["x-request-id"] for head in found] == [str(n) for n in range(3000)]
    assert heads.parse(head_of("POST /predict HTTP/1.1", [])) is usual
