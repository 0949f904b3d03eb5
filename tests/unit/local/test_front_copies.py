"""Several copies behind the front: which of them gets a request, and which one's answer counts."""

from __future__ import annotations

import asyncio
from collections import Counter

from clouddeploy.providers.local.backends import Backend, Lane
from clouddeploy.providers.local.front import Front
from tests.unit.local.test_front import CLOSE, ask, fronted, run, saying, text

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
