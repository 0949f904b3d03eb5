"""The quick way through the front, and where it gives over to the thorough one."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clouddeploy.providers.local.front import Front
from clouddeploy.providers.local.http import BLOCK
from tests.unit.local.test_front import CLOSE, GET, ask, fronted, run, saying, text

CHUNKED = b"POST /chunked HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
KINDS = (
    b"GET /get HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST /post HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
    b"POST /traced HTTP/1.1\r\nX-Request-Id: 7\r\ntraceparent: 00-1\r\ncontent-length: 2\r\n\r\nhi",
    b"GET /kept HTTP/1.1\r\nconnection: keep-alive\r\n\r\n",
    b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET /refused HTTP/1.1\r\nhost: x\r\n\r\n",
    CHUNKED,
)


async def mirror(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with what it was asked: path, headers, body; in chunks where the path says so."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: ([0-9]+)", head, re.I)
            body = await reader.readexactly(int(length[1])) if length else b""
            if b"chunked" in head:
                body = await reader.readuntil(b"0\r\n\r\n")
            told = b"<%b|%b>" % (head.replace(b"\r\n", b" "), body.replace(b"\r\n", b" "))
            if b"/stream" in head:
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(told), told))
            else:
                answer = text(told)
                writer.write(answer.replace(b"200 OK", b"429 No") if b"/refused" in head else answer)
    except asyncio.IncompleteReadError:
        writer.close()


async def sent(front: Front, data: bytes, cuts: list[int]) -> bytes:
    """What comes back for `data`, sent in pieces that end at `cuts`."""
    assert front.address is not None
    reader, writer = await asyncio.open_connection(*front.address)
    at = 0
    for cut in [*sorted(cut % len(data) for cut in cuts), len(data)]:
        writer.write(data[at:cut])
        at = cut
        await asyncio.sleep(0.001)
    found = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return found


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(KINDS), max_size=6), st.lists(st.integers(0, 2000), max_size=4))
def test_every_request_gets_its_own_answer_however_its_bytes_arrive(kinds: Any, cuts: Any) -> None:
    async def go() -> None:
        async with fronted((mirror, 100)) as (front, backends):
            found = await sent(front, b"".join(kinds) + CLOSE, cuts)
            paths = re.findall(rb"<(?:GET|POST) (/\S*) HTTP", found)
            assert paths == [kind.split(b" ")[1] for kind in (*kinds, CLOSE)]
            assert found.count(b"|hello>") == sum(b"/post" in kind for kind in kinds)
            assert found.count(b"|3 abc 0  >") == kinds.count(CHUNKED)
            assert not re.search(rb"<[^|]*keep-alive", found), "what is about our connection isn't passed on"
            traced = [kind for kind in kinds if b"traceparent" in kind]
            assert len(re.findall(rb"<[^|]*X-Request-Id: 7[^|]*traceparent: 00-1", found, re.I)) == len(
                traced
            )
            assert backends[0].busy == 0

    run(go())


def test_answers_of_every_size_pass_unchanged() -> None:
    async def go() -> None:
        for size in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK):
            async with fronted((saying(text(b"z" * size)), 100)) as (front, _):
                found = await ask(front, GET, CLOSE)
                assert found.count(b"z") == 2 * size

    run(go())


def test_a_client_that_goes_away_frees_its_copy() -> None:
    async def go() -> None:
        gone = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await reader.read()
            gone.set()

        async with fronted((slow, 100)) as (front, backends):
            assert front.address is not None
            _, writer = await asyncio.open_connection(*front.address)
            writer.write(GET)
            while not backends[0].busy:
                await asyncio.sleep(0.001)
            writer.transport.abort()
            await asyncio.wait_for(gone.wait(), 5)
            assert backends[0].busy == 0

    run(go())


def test_a_front_that_ends_answers_what_it_has_and_says_that_it_closes() -> None:
    async def go() -> None:
        go_on = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await go_on.wait()
            writer.write(text(b"done"))
            await writer.drain()
            await reader.read()

        async with fronted((slow, 100)) as (front, backends):
            assert front.address is not None
            reader, writer = await asyncio.open_connection(*front.address)
            idle, other = await asyncio.open_connection(*front.address)
            writer.write(GET)
            while not backends[0].busy:
                await asyncio.sleep(0.001)
            ending = asyncio.ensure_future(front.close(5))
            assert await asyncio.wait_for(idle.read(), 5) == b""
            go_on.set()
            found = await asyncio.wait_for(reader.read(), 5)
            await ending
            assert found.endswith(b"\r\n\r\ndone")
            assert b"connection: close\r\n" in found
            writer.close()
            other.close()

    run(go())


def test_a_client_that_takes_nothing_isnt_read_without_end() -> None:
    async def go() -> None:
        async with fronted((saying(text(b"z" * 100_000)), 100)) as (front, _):
            assert front.address is not None
            reader, writer = await asyncio.open_connection(*front.address)
            for _ in range(400):
                writer.write(GET)
            await asyncio.sleep(0.1)
            assert front.counts.over(60)["requests"] < 400
            writer.write(CLOSE)
            found = await asyncio.wait_for(reader.read(), 20)
            assert found.count(b"HTTP/1.1 200 OK") == 401
            writer.close()

    run(go())
