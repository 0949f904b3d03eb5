from __future__ import annotations

import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from clouddeploy.server.engine import hanging
from clouddeploy.server.engine.hanging import Watch
from tests.unit.server_engine.rig import Answers, Clock, Model, engine_of, rows, run, until


def test_a_prediction_that_does_not_return_ends_the_worker_and_answers_who_waits(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        gate, clock = threading.Event(), Clock()
        model = Model(lambda batch: gate.wait(10) and None)
        engine = engine_of(model, clock=clock, max_batch=1, fast=False)
        answers = Answers(engine)
        ended: list[str] = []
        armed: list[float] = []
        watch = Watch(lambda: [engine], 60, 30, lambda: ended.append("ended"), armed.append)
        await watch.start()
        answers.ask(rows(1))
        answers.ask(rows(2))
        await until(lambda: bool(model.batches))
        clock.now += 59
        watch.look()
        assert not ended
        clock.now += 2
        watch.look()
        assert ended == ["ended"]
        assert {answers.code(n) for n in (0, 1)} == {"prediction_failed"}
        assert "didn't answer within 60 s" in str(answers.found[0])
        assert armed == [60, 60, 35], "should the end hang too, the process is ended all the same"
        await watch.stop()
        gate.set()
        await until(lambda: not engine.busy)
        engine.close()

    run(work())
    assert "hasn't returned for 60 s" in caplog.text
    assert "clouddeploy/server/engine/lane.py" in capfd.readouterr().err, "the log tells where it hangs"


def test_without_a_limit_nothing_is_watched() -> None:
    app: Any = SimpleNamespace(settings=SimpleNamespace(hang_s=0), on_start=[], on_stop=[])
    hanging.install(app)
    assert not app.on_start


def test_a_process_whose_event_loop_hangs_is_ended_with_its_stack() -> None:
    code = """
import asyncio, time
from clouddeploy.server.engine.hanging import Watch
async def main():
    await Watch(lambda: [], 0.2, 1).start()
    time.sleep(30)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=False
    )
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert 'File "<string>", line 6 in main' in done.stderr
