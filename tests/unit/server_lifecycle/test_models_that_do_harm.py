"""A model that raises, hangs, leaks memory or is killed for it: its worker is replaced where need be."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.server.engine.growing import Growth, own_mb
from clouddeploy.testing.served import Clients, ServerProcess, until, write_model

HARM = """\
import os
import resource
import signal
import time

held = []


def predict(inputs):
    time.sleep(0.02)  # so that it runs in a thread
    act = int(inputs[:, 0].max())
    if act == 901:
        raise ValueError("nine hundred and one")
    if act == 902:
        held.append(b"x" * (20 << 20))
    if act == 903:
        os.kill(os.getpid(), signal.SIGKILL)
    if act == 904:
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, resource.RLIM_INFINITY))
        bytearray(1 << 40)
    if act == 905:
        raise SystemExit(3)
    if act == 906:
        raise KeyboardInterrupt
    if act == 908:
        time.sleep(3600)
    if act == 907:
        return f(inputs)
    return inputs + 1000


def f(inputs):
    return f(inputs)
"""


def served(tmp_path: Path, **settings: Any) -> ServerProcess:
    return ServerProcess(write_model(tmp_path / "model", 1, handler=HARM), **settings)


@pytest.mark.parametrize("act", [901, 904, 905, 906, 907])
def test_a_model_that_raises_whatever_it_is_fails_its_request_alone(tmp_path: Path, act: int) -> None:
    with served(tmp_path) as server:
        workers = server.workers()
        failed = server.call("/predict", {"input": [act, 1]})
        assert (failed.status, failed.body["error"]["code"]) == (500, "prediction_failed")
        assert "nine hundred" not in failed.body["error"]["message"], "what it says is for the log"
        assert server.call("/predict", {"input": [1, 2]}).body == {"prediction": [1001.0, 1002.0]}
        assert server.workers() == workers


def test_a_worker_that_the_kernel_kills_for_its_memory_is_replaced(tmp_path: Path) -> None:
    with served(tmp_path, workers=2) as server:
        before = server.workers()
        with pytest.raises(OSError):
            server.call("/predict", {"input": [903, 1]})
        assert [server.call("/predict", {"input": [1, 1]}).status for _ in range(20)] == [200] * 20
        until(lambda: len(server.workers()) == 2 and server.workers() != before, "it is replaced")
        assert [line for line in server.lines if "ended by SIGKILL" in line]


def test_a_worker_whose_model_hangs_is_replaced_and_who_waits_is_answered(tmp_path: Path) -> None:
    with served(tmp_path, hang_s=0.5, drain_s=1) as server:
        before = server.workers()
        failed = server.call("/predict", {"input": [908, 1]})
        assert (failed.status, failed.body["error"]["code"]) == (500, "prediction_failed")
        assert "didn't answer within 0.5 s" in failed.body["error"]["message"]
        last = server.call("/predict", {"input": [1, 2]})  # the one that hangs may still be asked
        assert last.status == 200 or last.body["error"]["code"] == "not_ready"
        until(lambda: server.workers() and not server.workers() & before, "another took its place")
        assert server.call("/predict", {"input": [1, 2]}).body == {"prediction": [1001.0, 1002.0]}
        until(lambda: [line for line in server.lines if "/handler.py" in line], "where it hangs is told")


def test_a_worker_that_leaks_is_replaced_in_time_and_no_request_is_lost(tmp_path: Path) -> None:
    with served(tmp_path, max_memory_mb=300) as server, Clients(server.url, 2) as clients:
        before = server.workers()
        for _ in range(20):
            assert server.call("/predict", {"input": [902, 1]}).status == 200
        until(lambda: server.workers() and not server.workers() & before, "another serves")
        assert server.call("/predict", {"input": [1, 2]}).body == {"prediction": [1001.0, 1002.0]}
        assert [line for line in server.lines if "more than max_memory_mb (300)" in line]
    assert clients.wrong == []
    assert sum(clients.right.values()) > 0


def test_a_limit_that_every_worker_is_over_replaces_none(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []

    async def work() -> None:
        growth = Growth(100, lambda: 200.0, lambda: ended.append("ended"))
        await growth.start()
        await growth.stop()

    asyncio.run(work())
    assert not ended
    assert "has no effect" in caplog.text


def test_what_is_held_is_what_is_kept() -> None:
    before = own_mb()
    kept = bytearray(b"x") * (50 << 20)
    assert 40 < own_mb() - before < 70
    assert kept
