from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime.signature import Signature, Tensor
from tests.unit.server_engine.rig import FLOATS, Answers, Model, engine_of, rows, run, until

TWO = Signature((Tensor("a", "int64", (None, 2)), Tensor("b", "float32", (None, None))), ())
TEXT = Signature((Tensor("x", "str", (None,)),), ())


def warmed(model: Any, signature: Signature = FLOATS, example: Any = None, **more: Any) -> Any:
    engine = engine_of(model, signature, fast=False, **more)
    engine.warm_up(example)
    return engine


def sizes_of_three(engine: Any, model: Model) -> list[int]:
    async def work() -> None:
        model.batches.clear()
        answers = Answers(engine)
        for value in range(3):
            answers.ask(rows(value))
        await until(lambda: len(answers.found) == 3)
        engine.close()

    run(work())
    return model.sizes


def test_the_model_is_measured_alone_and_in_a_full_batch() -> None:
    model = Model()
    engine = warmed(model)
    assert model.sizes == [1, 1, 1, 4, 4]
    assert engine.facts.mode == "loop"
    assert engine.facts.example_s > 0
    assert sizes_of_three(engine, model) == [3]


def test_zeros_have_the_signatures_names_dtypes_and_shapes() -> None:
    model = Model()
    warmed(model, TWO)
    assert {n: (a.dtype.name, a.shape) for n, a in model.batches[0].items()} == {
        "a": ("int64", (1, 2)),
        "b": ("float32", (1, 1)),
    }


def test_an_example_is_taken_where_there_is_one() -> None:
    model = Model()
    warmed(model, example=[[3, 4]])
    assert model.batches[0].tolist() == [[3, 4]]
    text = Model(lambda batch: np.zeros(len(batch)))
    warmed(text, TEXT, ["hello"])
    assert text.batches[0].tolist() == ["hello"]


def test_without_a_signature_or_for_text_nothing_is_made_up() -> None:
    for signature in (Signature(), TEXT):
        model = Model()
        engine = warmed(model, signature)
        assert not model.batches
        assert engine.facts.mode == "thread", "the loop isn't risked for what is unknown"


def test_a_model_that_fails_on_zeros_is_served_and_one_that_fails_on_the_example_is_not() -> None:
    def refuse(batch: Any) -> None:
        raise ZeroDivisionError("no zeros")

    assert warmed(Model(refuse)).facts.mode == "thread"
    with pytest.raises(ZeroDivisionError):
        warmed(Model(refuse), example=[[1, 2]])


def test_a_model_that_takes_one_example_only_is_never_given_more(caplog: pytest.LogCaptureFixture) -> None:
    def alone(batch: Any) -> None:
        if len(batch) > 1:
            raise ValueError("the batch is fixed")

    model = Model(alone)
    engine = warmed(model)
    assert "the batch is fixed" in caplog.text
    assert sizes_of_three(engine, model) == [1, 1, 1]


def test_a_model_that_computes_over_the_batch_is_never_given_others_requests(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = Model(lambda batch: np.repeat(batch.sum(axis=0, keepdims=True) + len(batch), len(batch), 0))
    engine = warmed(model)
    assert "training mode" in caplog.text
    assert sizes_of_three(engine, model) == [1, 1, 1]


def test_a_model_that_answers_at_random_is_batched() -> None:
    random = np.random.default_rng(0)
    model = Model(lambda batch: random.random((len(batch), 2), np.float32))
    assert sizes_of_three(warmed(model), model) == [3]


def test_a_full_batch_of_huge_examples_is_not_tried() -> None:
    huge = Signature((Tensor("x", "float32", (None, 1 << 20)),), ())
    model = Model()
    warmed(model, huge, max_batch=64)
    assert model.sizes == [1, 1, 1]


def test_a_model_that_streams_is_not_warmed_up() -> None:
    def stream(batch: Any) -> Any:
        yield batch

    warmed(stream)


def test_a_model_that_turned_slow_leaves_the_loop_and_comes_back() -> None:
    async def work() -> None:
        class Ticking:
            now, step = 0.0, 0.0

            def __call__(self) -> float:
                self.now += self.step
                return self.now

        clock = Ticking()
        engine = engine_of(Model(), clock=clock)
        engine._pace.begin(1, 0.0001)
        answers = Answers(engine)

        async def asked(times: int) -> None:
            for _ in range(times):
                number = answers.ask(rows(1))
                await until(lambda n=number: n in answers.found)  # type: ignore[misc]

        await asked(3)
        assert engine.facts.mode == "loop"
        clock.step = 0.05
        await asked(12)
        assert engine.facts.mode == "thread"
        clock.step = 0.0001
        await asked(60)
        assert engine.facts.mode == "loop"
        engine.close()

    asyncio.run(work())
