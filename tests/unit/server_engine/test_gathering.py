"""A model that gains by larger batches waits a moment for those who are about to ask."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.runtime.signature import Signature
from clouddeploy.server.engine.gathering import PATIENCE_S, TRIAL, Gathering
from clouddeploy.server.engine.jobs import Call
from clouddeploy.server.engine.pace import Pace
from tests.unit.server_engine.rig import FLOATS, FREE, Answers, Clock, Model, engine_of, rows, run, until

SLOW_S = 0.002


def answers_of(
    seconds_of: Any = lambda size: SLOW_S, signature: Signature = FLOATS, **settings: Any
) -> tuple[Answers, Model]:
    """An engine whose model takes as long as a function of the batch's size says."""
    clock = Clock()

    def pass_time(batch: Any) -> None:
        clock.now += seconds_of(len(batch))

    model = Model(pass_time)
    engine = engine_of(model, signature, clock=clock, fast=False, **settings)
    for size in (1, 2, 4):
        engine._pace.begin(size, seconds_of(size))
    return Answers(engine), model


async def two_together(answers: Answers, model: Model) -> None:
    """Let two requests be one batch, twice: once to see how long it takes, once to see who comes."""
    for count in (2, 4):
        for value in range(2):
            answers.ask(rows(value))
        await until(lambda count=count: len(answers.found) == count)  # type: ignore[misc]
    assert model.sizes == [2, 2]
    answers.found.clear()
    model.batches.clear()


def test_who_asked_together_is_waited_for_and_the_batch_begins_with_the_last() -> None:
    async def work() -> None:
        answers, model = answers_of()
        await two_together(answers, model)
        answers.ask(rows(3))
        await asyncio.sleep(0)
        assert not model.batches, "the second is about to ask"
        answers.ask(rows(4))
        assert model.sizes == [2]
        assert [answers.values(n) for n in (4, 5)] == [[[6, 6]], [[8, 8]]]

    run(work())


def test_when_nobody_comes_the_batch_begins_and_the_next_one_does_not_wait() -> None:
    async def work() -> None:
        answers, model = answers_of()
        await two_together(answers, model)
        answers.ask(rows(3))
        await until(lambda: len(answers.found) == 1)
        answers.ask(rows(4))
        await asyncio.sleep(0)
        assert model.sizes == [1, 1]

    run(work())


@pytest.mark.parametrize(
    ("seconds_of", "settings"),
    [
        (lambda size: 0.0015 * size, {}),
        (lambda size: 0.0001, {}),
        (lambda size: SLOW_S, {"signature": FREE}),
        (lambda size: SLOW_S, {"timeout_ms": 1000}),
    ],
    ids=["nothing is saved", "less is saved than is waited", "shapes may differ", "time is short"],
)
def test_nobody_is_waited_for_where_it_does_not_pay_or_may_harm(seconds_of: Any, settings: Any) -> None:
    async def work() -> None:
        deadline = 1e9 if settings.pop("timeout_ms", 0) else None
        answers, model = answers_of(seconds_of, **settings)
        await two_together(answers, model)
        answers.ask(rows(3), deadline)
        await asyncio.sleep(0)
        assert model.sizes == [1]
        answers.engine.close()

    run(work())


def test_a_client_that_asks_alone_is_never_kept_waiting_for_others() -> None:
    async def work() -> None:
        answers, model = answers_of(lambda size: SLOW_S + 0.0005 * size)
        for value in range(TRIAL - 1):
            answers.ask(rows(value))
            await asyncio.sleep(0)
            assert len(model.sizes) == value + 1

    run(work())


def test_the_models_thread_leaves_those_that_wait_to_the_loop_when_more_are_about_to_ask() -> None:
    going, began = threading.Event(), threading.Event()
    going.set()

    async def work() -> None:
        clock = Clock()

        def hold(batch: Any) -> None:
            began.set()
            assert going.wait(10)
            clock.now += 0.01

        model = Model(hold)
        engine = engine_of(model, clock=clock, fast=False)
        engine._pace.begin(1, 0.01)
        engine._pace.begin(2, 0.01)
        answers = Answers(engine)
        await two_together(answers, model)
        going.clear()
        began.clear()

        def ask_again(_: Any) -> None:
            answers.ask(rows(5))

        engine.submit(rows(1), None, ask_again)
        answers.ask(rows(2))
        await until(began.is_set)
        answers.ask(rows(3))
        going.set()
        await until(lambda: len(answers.found) == 3)
        assert model.sizes == [2, 2]
        engine.close()

    run(work())


def test_steps_of_a_generator_wait_for_nobody() -> None:
    async def work() -> None:
        answers, model = answers_of()
        await two_together(answers, model)
        answers.ask(Call(lambda: 7))
        await until(lambda: len(answers.found) == 1)
        assert answers.found[4].value == 7  # type: ignore[union-attr]
        answers.ask(rows(3))
        answers.ask(rows(4))
        await until(lambda: len(answers.found) == 3)
        assert model.sizes == [2]
        answers.engine.close()

    run(work())


def test_an_engine_that_ends_while_it_waits_for_more_refuses_what_waits() -> None:
    async def work() -> None:
        answers, model = answers_of()
        await two_together(answers, model)
        answers.ask(rows(3))
        await asyncio.sleep(0)
        answers.engine.close()
        assert answers.code(4) == "not_ready"
        await asyncio.sleep(2 * PATIENCE_S)
        assert not model.batches

    run(work())


def test_a_drain_waits_for_those_that_are_kept_waiting() -> None:
    async def work() -> None:
        answers, model = answers_of()
        await two_together(answers, model)
        answers.ask(rows(3))
        await asyncio.sleep(0)
        await answers.engine.drained()
        assert model.sizes == [1]
        assert answers.values(4) == [[6, 6]]

    run(work())


def test_now_and_then_one_more_is_waited_for_and_learnt() -> None:
    pace = Pace()
    for size in (1, 2, 4):
        pace.begin(size, 0.01)
    gathering = Gathering(pace, 8)
    told = [gathering.wanted(1) for _ in range(TRIAL)]
    assert told == [0] * (TRIAL - 1) + [2]
    assert gathering.wanted(2) == 0, "it came"
    assert gathering.wanted(1) == 2
    assert gathering.wanted(1) == 0, "none came"
    assert gathering.wanted(1) == 0


@given(
    st.integers(1, 40),
    st.lists(st.floats(1e-5, 1.0), min_size=6, max_size=6),
    st.lists(st.tuples(st.integers(1, 100), st.booleans()), max_size=60),
)
def test_a_wait_is_for_a_batch_that_can_be_and_ends_when_none_comes(
    most: int, seconds: list[float], asked: list[tuple[int, bool]]
) -> None:
    pace = Pace()
    for at, took in enumerate(seconds):
        pace.begin(2**at, took)
    gathering = Gathering(pace, most)
    for size, thread in asked:
        if thread:
            assert not gathering.better_later(0)
            assert not (gathering.better_later(size) and size >= most)
            continue
        wanted = gathering.wanted(size)
        assert wanted == 0 or size < wanted <= most
        if wanted:
            assert gathering.wanted(size) == 0
