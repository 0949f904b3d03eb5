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


POST = b"POST /predict HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"


def refusal(code: bytes) -> bytes:
    body = b'{"error":{"code":"%b","message":"told","fix":"wait"}}' % code
    return b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def posts(front: Front, count: int) -> Counter[bytes]:
    """The last four bytes of the answers to so many predictions on one connection."""
    assert front.address is not None
    reader, writer = await asyncio.open_connection(*front.address)
    found: Counter[bytes] = Counter()
    for _ in range(count):
        writer.write(POST)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        found[(head[9:12] + b" " + await reader.readexactly(length))[:28]] += 1
    writer.close()
    return found


def one_lane(backends: list[Backend]) -> Lane:
    lane = Lane("it")
    lane.backends = [Backend(backend.port, lane.level) for backend in backends]
    return lane


def test_a_copy_whose_model_is_being_loaded_leaves_its_requests_to_the_others() -> None:
    async def go() -> None:
        async with fronted((saying(refusal(b"not_ready")), 50), (saying(text(b"good")), 50)) as (
            front,
            apart,
        ):
            lane = one_lane(apart)
            front.lanes.put({"it": (lane, 100)})
            assert await posts(front, 20) == {b"200 good": 20}
            assert [backend.busy for backend in lane.backends] == [0, 0]
            assert front.counts.over(60)["requests"] == 20
            assert front.counts.over(60)["errors_5xx"] == 0
            for backend in lane.backends:
                await backend.drained()

    run(go())


def test_when_no_copy_is_ready_that_is_told_once() -> None:
    async def go() -> None:
        busy = saying(refusal(b"not_ready"))
        async with fronted((busy, 50), (busy, 50)) as (front, apart):
            lane = one_lane(apart)
            front.lanes.put({"it": (lane, 100)})
            assert list(await posts(front, 3)) == [
                (b"503 " + refusal(b"not_ready").partition(b"\r\n\r\n")[2])[:28]
            ]
            for backend in lane.backends:
                await backend.drained()

    run(go())


def test_a_copy_that_has_just_died_leaves_its_requests_to_the_others() -> None:
    async def go() -> None:
        async with fronted((saying(text(b"good")), 100)) as (front, apart):
            gone = await asyncio.start_server(saying(b""), "127.0.0.1", 0)
            port = gone.sockets[0].getsockname()[1]
            gone.close()
            await gone.wait_closed()
            lane = Lane("it")
            lane.backends = [Backend(port, lane.level), Backend(apart[0].port, lane.level)]
            front.lanes.put({"it": (lane, 100)})
            assert await posts(front, 20) == {b"200 good": 20}
            await lane.backends[1].drained()

    run(go())


def test_what_only_one_copy_knows_is_not_asked_of_another() -> None:
    """The answer ``not_ready`` to a job that isn't done is an answer: only that copy has the job."""

    async def go() -> None:
        async with fronted((saying(refusal(b"not_ready")), 50), (saying(text(b"good")), 50)) as (
            front,
            apart,
        ):
            lane = one_lane(apart)
            front.lanes.put({"it": (lane, 100)})
            answers = [await ask(front, CLOSE) for _ in range(2)]
            assert sum(b"not_ready" in answer for answer in answers) == 1
            for backend in lane.backends:
                await backend.drained()

    run(go())


def test_predictions_that_copies_refuse_for_load_are_counted_for_the_scaling() -> None:
    async def go() -> None:
        async with fronted((saying(refusal(b"overloaded")), 100)) as (front, apart):
            lane = one_lane(apart)
            front.lanes.put({"it": (lane, 100)})
            await posts(front, 3)
            assert lane.take_refused() == 3
            assert lane.take_refused() == 0
            await lane.backends[0].drained()

    run(go())


MISSING = b"HTTP/1.1 404 None\r\ncontent-length: 2\r\n\r\n{}"


def test_a_job_is_found_whichever_copy_of_whichever_release_has_it() -> None:
    async def go() -> None:
        nothing = saying(MISSING)
        async with fronted((nothing, 60), (nothing, 30), (saying(text(b"done")), 10)) as (front, backends):
            for _ in range(10):
                asked = (
                    b"GET /jobs/7 HTTP/1.1\r\nhost: x\r\n\r\n",
                    b"DELETE /jobs/7 HTTP/1.1\r\nhost: x\r\n\r\n" + CLOSE,
                )
                assert (await ask(front, *asked)).count(b"done") >= 2
            assert [backend.busy for backend in backends] == [0, 0, 0]

    run(go())


def test_a_job_that_no_copy_has_is_told_as_missing_and_nothing_else_is_looked_for() -> None:
    async def go() -> None:
        async with fronted((saying(MISSING), 50), (saying(MISSING), 50)) as (front, _):
            found = await ask(front, b"GET /jobs/7 HTTP/1.1\r\nhost: x\r\n\r\n" + CLOSE)
            assert found.count(b"HTTP/1.1 404 ") == 2
        async with fronted((saying(MISSING), 100), (saying(text(b"good")), 0)) as (front, _):
            found = await ask(front, b"GET /else HTTP/1.1\r\nhost: x\r\n\r\n" + CLOSE)
            assert b"good" not in found

    run(go())
