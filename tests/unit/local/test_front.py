from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from clouddeploy.providers.local.backends import Backend, Lane
from clouddeploy.providers.local.front import WHOLE, Front

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def fronted(
    *servers: tuple[Serve, int], timeout_s: float = 5
) -> AsyncIterator[tuple[Front, list[Backend]]]:
    """A front before servers, each with its percent of the requests."""
    front, backends, opened, lanes = Front(lambda text: None), [], [], {}
    front.timeout_s = timeout_s
    for number, (serve, share) in enumerate(servers):
        server = await asyncio.start_server(closing(serve), "127.0.0.1", 0, limit=8 * WHOLE)
        opened.append(server)
        lane = Lane(str(number))
        backends.append(Backend(server.sockets[0].getsockname()[1], lane.level))
        lane.backends = [backends[-1]]
        lanes[lane.release] = (lane, share)
    front.lanes.put(lanes)
    await front.listen("127.0.0.1", 0)
    try:
        yield front, backends
    finally:
        await front.close(0.2)
        for backend in backends:
            await backend.drained()
        for server in opened:
            server.close()
        await asyncio.sleep(0.01)  # for the connections' ends to be seen


def closing(serve: Serve) -> Serve:
    """The same, with every connection closed in the end."""

    async def closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    return closed


def saying(answer: bytes) -> Serve:
    """A server that answers every request without a body so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
        except asyncio.IncompleteReadError:
            writer.close()

    return serve


def text(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def ask(front: Front, *data: bytes) -> bytes:
    """Send on one connection, and read what comes until it is closed."""
    assert front.address is not None
    reader, writer = await asyncio.open_connection(*front.address)
    for part in data:
        writer.write(part)
        await writer.drain()
    found = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return found


def run(what: Awaitable[None]) -> None:
    async def main() -> None:
        await what

    asyncio.run(main())


def test_shares_are_exact_over_every_hundred_requests() -> None:
    async def go() -> None:
        async with fronted((saying(text(b"a")), 70), (saying(text(b"b")), 30)) as (front, _):
            found = await ask(front, *[GET] * 99, CLOSE)
            assert Counter(found.split(b"\r\n\r\n")[i][:1] for i in range(1, 101)) == {b"a": 70, b"b": 30}
            assert front.counts.over(60)["requests"] == 100

    run(go())


@pytest.mark.parametrize(
    "request_", [
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: +3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\ncontent-length : 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nx: a\nb: c\r\n\r\n",
        b"POST /a b HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01 rubbish\r\n\r\n",
    ],
)  # fmt: skip
def test_an_ambiguous_request_is_refused_and_reaches_no_server(request_: bytes) -> None:
    async def go() -> None:
        reached = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reached.append(1)

        async with fronted((serve, 100)) as (front, _):
            found = await ask(front, request_)
        assert found.startswith(b"HTTP/1.1 400 ")
        assert b'"code":"bad_request"' in found
        assert not reached

    run(go())


def test_a_head_without_end_is_refused() -> None:
    async def go() -> None:
        async with fronted((saying(text(b"")), 100)) as (front, _):
            assert (await ask(front, b"GET / HTTP/1.1\r\nx: " + b"y" * 200_000)).startswith(b"HTTP/1.1 431 ")

    run(go())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with the bytes after the head as they came, once they hold END."""
    await reader.readuntil(b"\r\n\r\n")
    found = await reader.readuntil(b"END")
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n" % len(found))
    writer.write(found + b"\r\n0\r\nx-trailer: 1\r\n\r\n")
    await writer.drain()
    writer.close()


def test_large_and_chunked_bodies_pass_unchanged_both_ways() -> None:
    async def go() -> None:
        large = b"z" * (3 * WHOLE) + b"END"
        async with fronted((echo, 100)) as (front, _):
            head = b"POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(large)
            found = await ask(front, head, large)
            assert found.endswith(large + b"\r\n0\r\nx-trailer: 1\r\n\r\n")
            head = b"POST / HTTP/1.1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
            found = await ask(front, head, b"5\r\nhello\r\n", b"3;x=y\r\nEND\r\n0\r\n\r\n")
            assert b"5\r\nhello\r\n3;x=y\r\nEND" in found

    run(go())


def test_a_stream_reaches_the_client_as_it_comes() -> None:
    async def go() -> None:
        more = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none\n\r\n")
            await more.wait()
            writer.write(b"4\r\ntwo\n\r\n0\r\n\r\n")

        async with fronted((serve, 100)) as (front, _):
            assert front.address is not None
            reader, writer = await asyncio.open_connection(*front.address)
            writer.write(GET)
            assert b"one\n" in await asyncio.wait_for(reader.readuntil(b"one\n\r\n"), 5)
            more.set()
            assert b"two\n" in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
            writer.close()

    run(go())


def test_a_kept_connection_that_has_ended_is_replaced_unseen() -> None:
    async def go() -> None:
        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(text(b"ok"))
            await writer.drain()
            await reader.read(1)  # the next request arrives, and meets a server that goes away
            writer.transport.abort()

        async with fronted((once, 100)) as (front, _):
            found = await ask(front, GET, GET, CLOSE)
        assert found.count(b"ok") == 3

    run(go())


def test_a_server_that_breaks_off_is_told_as_a_failed_prediction() -> None:
    async def go() -> None:
        async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        async with fronted((broken, 100)) as (front, backends):
            found = await ask(front, CLOSE)
            assert found.startswith(b"HTTP/1.1 500 ")
            assert b"prediction_failed" in found
            assert front.counts.over(60)["errors_5xx"] == 1
            assert backends[0].busy == 0

    run(go())


def test_a_request_that_takes_too_long_is_ended() -> None:
    async def go() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with fronted((silent, 100), timeout_s=0.05) as (front, _):
            found = await ask(front, CLOSE)
        assert found.startswith(b"HTTP/1.1 503 ")
        assert b"out_of_time" in found

    run(go())


def test_nobody_in_service_is_told_at_once() -> None:
    async def go() -> None:
        async with fronted() as (front, _):
            found = await ask(front, CLOSE)
        assert found.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in found

    run(go())


def test_a_copy_that_leaves_finishes_what_it_has_and_gets_no_more() -> None:
    async def go() -> None:
        go_on = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await go_on.wait()
            writer.write(text(b"old"))

        async with fronted((slow, 100)) as (front, backends):
            first = asyncio.ensure_future(ask(front, CLOSE))
            while not backends[0].busy:
                await asyncio.sleep(0.001)
            server = await asyncio.start_server(closing(saying(text(b"new"))), "127.0.0.1", 0)
            lane = Lane("new")
            lane.backends = [Backend(server.sockets[0].getsockname()[1], lane.level)]
            front.lanes.put({"new": (lane, 100)})
            leaving = asyncio.ensure_future(backends[0].drained())
            assert b"new" in await ask(front, CLOSE)
            assert not leaving.done()
            go_on.set()
            assert b"old" in await first
            await leaving
            await lane.backends[0].drained()
            server.close()

    run(go())


def test_copies_of_a_release_share_by_what_they_have_to_do() -> None:
    lane = Lane("x", backends=[])
    assert lane.pick() is None
    lane.backends = [Backend(port, lane.level) for port in (1, 2, 3)]
    picked = Counter()
    for _ in range(9):
        backend = lane.pick()
        assert backend is not None
        picked[backend.port] += 1
    assert set(picked.values()) == {3}
    lane.backends[0].busy = lane.backends[1].busy = 1
    assert {lane.pick() for _ in range(5)} == {lane.backends[2]}


def test_head_has_no_body_and_expect_is_answered() -> None:
    async def go() -> None:
        async with fronted((saying(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"), 100)) as (front, _):
            found = await ask(front, b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n")
            assert b"content-length: 5" in found
        async with fronted((echo, 100)) as (front, _):
            head = (
                b"POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n"
            )
            found = await ask(front, head, b"END")
            assert found.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")

    run(go())
