"""Deadlines, full queues, threads, and what watches the batches."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime.errors import WireError
from clouddeploy.server.engine.batching import Batch, Overloaded
from clouddeploy.server.engine.jobs import Call, Returned
from clouddeploy.server.message import Head, refusal
from tests.unit.server_engine.rig import Answers, Caller, Clock, Model, engine_of, rows, run, until


def test_what_waits_too_long_is_answered_without_being_predicted() -> None:
    async def work() -> None:
        clock, model = Clock(), Model()
        answers = Answers(engine_of(model, clock=clock))
        answers.ask(rows(1), deadline=100.5)
        answers.ask(rows(2), deadline=102)
        answers.ask(rows(3))
        clock.now = 101.0
        await until(lambda: len(answers.found) == 3)
        assert answers.code(0) == "out_of_time"
        assert answers.values(1) == [[4, 4]]
        assert model.sizes == [2]

    run(work())


def test_while_the_model_is_busy_a_deadline_is_told_when_it_is_over() -> None:
    async def work() -> None:
        gate = threading.Event()
        clock = Clock()
        model = Model(lambda batch: gate.wait(10) and None)
        answers = Answers(engine_of(model, clock=clock, fast=False))
        running = answers.ask(rows(1), deadline=100.02)
        waiting = answers.ask(rows(2), deadline=100.04)
        patient = answers.ask(rows(3), deadline=200)
        await until(lambda: bool(model.batches))
        later = answers.ask(rows(4), deadline=100.03)
        clock.now = 100.05
        await until(lambda: len(answers.found) >= 3)
        assert {answers.code(n) for n in (running, waiting, later)} == {"out_of_time"}
        gate.set()
        await until(lambda: len(answers.found) == 4)
        assert answers.values(patient) == [[6, 6]]
        assert sum(model.sizes) == 3, "the one that waited and was late is not predicted"
        answers.engine.close()

    run(work())


def test_for_who_went_away_nothing_is_predicted() -> None:
    async def work() -> None:
        model = Model()
        answers = Answers(engine_of(model))
        caller = Caller()
        answers.ask(rows(1), caller=caller)
        answers.ask(rows(2), caller=Caller())
        caller.gone = True
        await asyncio.sleep(0)
        assert model.sizes == [1]
        assert 0 not in answers.found
        assert answers.values(1) == [[4, 4]]

    run(work())


def test_a_full_queue_refuses_and_tells_when_it_will_be_empty() -> None:
    async def work() -> None:
        gate = threading.Event()
        model = Model(lambda batch: gate.wait(10) and None)
        engine = engine_of(model, queue=6, fast=False)
        engine._pace.begin(1, 1.5)
        answers = Answers(engine)
        answers.ask(rows(0))
        await until(lambda: bool(model.batches))
        for value in range(6):
            answers.ask(rows(value))
        with pytest.raises(Overloaded) as caught:
            answers.ask(rows(7))
        assert (caught.value.status, caught.value.retry_after_s) == (503, 10)
        assert ("retry-after", "10") in refusal(caught.value).headers
        gate.set()
        await until(lambda: len(answers.found) == 7)
        answers.ask(rows(8))
        await until(lambda: len(answers.found) == 8)
        engine.close()

    run(work())


def test_an_empty_queue_takes_a_request_of_any_size() -> None:
    async def work() -> None:
        answers = Answers(engine_of(Model(), queue=2))
        answers.ask(rows(*range(50)))
        await until(lambda: len(answers.found) == 1)

    run(work())


def test_a_slow_model_runs_in_a_thread_and_the_next_batch_forms_meanwhile() -> None:
    async def work() -> None:
        gate = threading.Event()
        threads: list[str] = []

        def slow(batch: Any) -> None:
            threads.append(threading.current_thread().name)
            gate.wait(10)

        model = Model(slow)
        engine = engine_of(model, fast=False)
        answers = Answers(engine)
        answers.ask(rows(1))
        await until(lambda: bool(model.batches))
        assert engine.facts.mode == "thread"
        assert engine.busy
        for value in (2, 3, 4):
            answers.ask(rows(value))
        await asyncio.sleep(0)
        assert not answers.found, "the loop turns while the model is busy"
        gate.set()
        await until(lambda: len(answers.found) == 4)
        assert model.sizes == [1, 3]
        assert threads == ["clouddeploy-model"] * 2
        engine.close()

    run(work())


def test_a_thread_that_found_nothing_more_begins_again() -> None:
    async def work() -> None:
        engine = engine_of(Model(), fast=False)
        engine._pace.begin(1, 1.0)
        answers = Answers(engine)
        for round_ in range(50):
            answers.ask(rows(round_))
            await until(lambda n=round_: n in answers.found)  # type: ignore[misc]
        assert [answers.values(n)[0][0] for n in range(50)] == [2 * n for n in range(50)]
        engine.close()

    run(work())


def test_a_model_that_reuses_its_output_does_not_change_earlier_answers() -> None:
    async def work() -> None:
        own = np.zeros((1, 2), np.float32)

        def reuse(batch: Any) -> Any:
            own[:] = batch
            return own

        answers = Answers(engine_of(Model(reuse), max_batch=1, fast=False))
        for value in (1, 2, 3):
            answers.ask(rows(value))
        await until(lambda: len(answers.found) == 3)
        assert [answers.values(n) for n in range(3)] == [[[1, 1]], [[2, 2]], [[3, 3]]]
        answers.engine.close()

    run(work())


def test_an_answer_that_cannot_be_told_keeps_nobody_else_from_his() -> None:
    async def work() -> None:
        engine = engine_of(Model())
        answers = Answers(engine)

        def fail(outcome: Any) -> None:
            raise RuntimeError("gone wrong")

        engine.submit(rows(1), None, fail)
        answers.ask(rows(2))
        await asyncio.sleep(0)
        assert answers.values(0) == [[4, 4]]

    run(work())


def test_a_call_runs_alone_in_the_models_thread() -> None:
    async def work() -> None:
        model = Model()
        engine = engine_of(model)
        answers = Answers(engine)
        answers.ask(rows(1))
        called = answers.ask(Call(lambda: threading.current_thread().name))
        failed = answers.ask(Call(lambda: next(iter(()))))
        answers.ask(rows(2))
        await until(lambda: len(answers.found) == 4)
        assert answers.found[called] == Returned("clouddeploy-model")
        assert answers.code(failed) == "prediction_failed"
        assert model.sizes in ([2], [1, 1])
        engine.close()

    run(work())


def test_watchers_are_told_of_every_batch() -> None:
    async def work() -> None:
        engine = engine_of(Model())
        seen: list[Batch] = []
        engine.watchers.append(seen.append)
        answers = Answers(engine)
        caller = Caller()
        answers.ask(rows(1, 2), caller=caller)
        answers.ask(rows(3))
        await asyncio.sleep(0)
        assert [(batch.size, batch.callers) for batch in seen] == [(3, (caller,))]

    run(work())


def test_closing_refuses_what_waits_and_answers_what_runs() -> None:
    async def work() -> None:
        gate = threading.Event()
        model = Model(lambda batch: gate.wait(10) and None)
        engine = engine_of(model, max_batch=1, fast=False)
        answers = Answers(engine)
        answers.ask(rows(1))
        await until(lambda: bool(model.batches))
        answers.ask(rows(2))
        drained = asyncio.ensure_future(engine.drained())
        engine.close()
        assert answers.code(1) == "not_ready"
        await asyncio.sleep(0)
        assert not drained.done()
        gate.set()
        await drained
        assert answers.values(0) == [[2, 2]]

    run(work())


def test_an_idle_engine_is_drained_at_once() -> None:
    run(engine_of(Model()).drained())


def exchange(headers: dict[str, str]) -> Any:
    head = Head("POST", "/predict", "", headers, 0, keep=True, version="1.1", expects=False)
    return SimpleNamespace(id="x", gone=False, started=100.0, request=SimpleNamespace(head=head))


def test_the_header_tells_for_how_long_a_client_waits() -> None:
    async def work() -> None:
        clock = Clock()
        engine = engine_of(Model(), clock=clock, timeout_ms=5000)
        found: list[Any] = []
        engine.ask(rows(1), exchange({"x-timeout-ms": "1500"}), found.append)
        engine.ask(rows(2), exchange({}), found.append)
        clock.now = 101.5
        await until(lambda: len(found) == 2)
        assert {getattr(outcome, "code", "fine") for outcome in found} == {"out_of_time", "fine"}
        engine.ask(rows(3), exchange({}), found.append)
        clock.now = 105.0
        await until(lambda: len(found) == 3)
        assert found[2].code == "out_of_time"

    run(work())


@pytest.mark.parametrize("text", ["", "0", "-5", "1.5", "abc", "٣", "999999999999", "1e3"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    engine = engine_of(Model())
    with pytest.raises(WireError, match="x-timeout-ms") as caught:
        engine.ask(rows(1), exchange({"x-timeout-ms": text}), lambda outcome: None)
    assert caught.value.status == 400
