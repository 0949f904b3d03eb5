from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from clouddeploy.runtime.decode import Request
from clouddeploy.runtime.signature import Signature, Tensor
from tests.unit.server_engine.rig import FREE, Answers, Model, engine_of, rows, run, until

TWO = Signature((Tensor("a", "float32", (None, 2)), Tensor("b", "float32", (None, 1))), ())


def test_requests_of_one_turn_of_the_loop_are_one_batch_and_each_gets_its_own_rows() -> None:
    async def work() -> None:
        model = Model()
        answers = Answers(engine_of(model, max_batch=8))
        for request in (rows(1), rows(2, 3), rows(4, single=True)):
            answers.ask(request)
        assert not answers.found
        await asyncio.sleep(0)
        assert model.sizes == [4]
        assert answers.values(0) == [[2, 2]]
        assert answers.values(1) == [[4, 4], [6, 6]]
        assert answers.found[2].single  # type: ignore[union-attr]

    run(work())


def test_an_idle_model_answers_in_the_next_turn_of_the_loop() -> None:
    async def work() -> None:
        answers = Answers(engine_of(Model()))
        answers.ask(rows(1))
        await asyncio.sleep(0)
        assert answers.found

    run(work())


def test_a_full_batch_is_predicted_at_once_so_that_the_queue_does_not_fill() -> None:
    async def work() -> None:
        model = Model()
        answers = Answers(engine_of(model, queue=5))
        for value in range(11):
            answers.ask(rows(value))
        assert model.sizes == [4, 4]
        await asyncio.sleep(0)
        assert model.sizes == [4, 4, 3]
        assert [answers.values(n) for n in range(11)] == [[[2 * n, 2 * n]] for n in range(11)]

    run(work())


def test_a_request_larger_than_a_batch_is_a_batch_of_its_own() -> None:
    async def work() -> None:
        model = Model()
        answers = Answers(engine_of(model))
        answers.ask(rows(1))
        answers.ask(rows(*range(9)))
        await until(lambda: len(answers.found) == 2)
        assert model.sizes == [1, 9]

    run(work())


def test_an_idle_model_waits_for_more_when_it_is_told_to() -> None:
    async def work() -> None:
        model = Model()
        answers = Answers(engine_of(model, max_delay_ms=30))
        answers.ask(rows(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not model.batches
        answers.ask(rows(2))
        await until(lambda: len(answers.found) == 2)
        assert model.sizes == [2]
        for value in range(4):
            answers.ask(rows(value))
        assert model.sizes == [2, 4], "a full batch waits for nobody"

    run(work())


def test_a_bad_example_fails_alone() -> None:
    def refuse(batch: Any) -> None:
        if (batch == 13).any():
            raise ValueError("thirteen")

    async def work() -> None:
        model = Model(refuse)
        answers = Answers(engine_of(model))
        for value in (1, 13, 2):
            answers.ask(rows(value))
        await asyncio.sleep(0)
        assert answers.values(0) == [[2, 2]]
        assert answers.code(1) == "prediction_failed"
        assert answers.values(2) == [[4, 4]]
        assert model.sizes == [3, 1, 1, 1]

    run(work())


def test_a_single_request_that_fails_is_not_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(batch: Any) -> None:
        raise SystemExit(3)

    async def work() -> None:
        model = Model(refuse)
        engine = engine_of(model)
        answers = Answers(engine)
        answers.ask(rows(1), request_id="r-1")
        await asyncio.sleep(0)
        asked = engine.codec.read(b'{"input":[1,2]}', "application/json")
        answers.ask(asked, request_id="r-2", body=b'{"input":[1,2]}')
        await asyncio.sleep(0)
        assert [answers.code(n) for n in (0, 1)] == ["prediction_failed"] * 2
        assert model.sizes == [1, 1]

    run(work())
    assert "[r-1] SystemExit: 3" in capsys.readouterr().err


@pytest.mark.parametrize("fast", [True, False], ids=["in the loop", "in the thread"])
def test_a_model_that_ends_the_interpreter_fails_the_request_alone(fast: bool) -> None:
    def refuse(batch: Any) -> None:
        if (batch == 13).any():
            raise KeyboardInterrupt

    async def work() -> None:
        answers = Answers(engine_of(Model(refuse), fast=fast))
        for value in (13, 1):
            answers.ask(rows(value))
        await until(lambda: len(answers.found) == 2)
        assert answers.code(0) == "prediction_failed"
        assert answers.values(1) == [[2, 2]]

    run(work())


def test_an_answer_with_another_count_than_the_batch_is_found_out_one_by_one() -> None:
    def drop(batch: Any) -> Any:
        kept = batch[(batch != 13).all(axis=1)]
        return kept * 2

    async def work() -> None:
        answers = Answers(engine_of(Model(drop)))
        for value in (1, 13, 2):
            answers.ask(rows(value))
        await asyncio.sleep(0)
        assert answers.values(0) == [[2, 2]]
        assert answers.code(1) == "bad_prediction"
        assert answers.values(2) == [[4, 4]]

    run(work())


def test_a_model_that_takes_no_batches_is_asked_alone_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    def alone(batch: Any) -> None:
        if len(batch) > 1:
            raise ValueError("one at a time")

    async def work() -> None:
        model = Model(alone)
        answers = Answers(engine_of(model))
        for _ in range(4):
            answers.ask(rows(1))
            answers.ask(rows(2))
            await until(lambda: not answers.engine.facts.waiting)
        assert model.sizes == [2, 1, 1] * 3 + [1, 1]
        assert len(answers.found) == 8

    run(work())
    assert "batching is off" in caplog.text


def test_shapes_that_differ_in_a_free_dimension_are_batched_by_shape_and_keep_their_order() -> None:
    def wide(width: int, value: float) -> Request:
        return Request(np.full((1, width), value, np.float32), 1)

    async def work() -> None:
        model = Model()
        answers = Answers(engine_of(model, FREE, max_batch=8))
        for width, value in ((2, 1), (3, 2), (2, 3), (3, 4), (1, 5)):
            answers.ask(wide(width, value))
        await until(lambda: len(answers.found) == 5)
        assert [batch.shape for batch in model.batches] == [(2, 2), (2, 3), (1, 1)]
        assert [answers.values(n)[0][0] for n in range(5)] == [2, 4, 6, 8, 10]

    run(work())


def test_without_a_signature_dtypes_are_not_mixed() -> None:
    async def work() -> None:
        model = Model()
        answers = Answers(engine_of(model, Signature()))
        answers.ask(Request(np.array([[2**60 + 1]]), 1))
        answers.ask(Request(np.array([[0.5]]), 1))
        await until(lambda: len(answers.found) == 2)
        assert answers.values(0) == [[2**61 + 2]]
        assert [batch.dtype.kind for batch in model.batches] == ["i", "f"]

    run(work())


def test_dicts_of_inputs_are_joined_and_parted_by_name() -> None:
    def named(value: float) -> Request:
        return Request({"a": np.full((1, 2), value, np.float32), "b": np.full((1, 1), -value, np.float32)}, 1)

    async def work() -> None:
        model = Model()
        answers = Answers(engine_of(model, TWO))
        answers.ask(named(1))
        answers.ask(named(2))
        await asyncio.sleep(0)
        assert model.sizes == [2]
        found: Any = answers.found[1]
        assert {name: array.tolist() for name, array in found.outputs.items()} == {"a": [[4, 4]], "b": [[-4]]}

    run(work())


def test_rows_read_fast_and_arrays_are_one_batch() -> None:
    async def work() -> None:
        model = Model()
        engine = engine_of(model)
        answers = Answers(engine)
        body = b'{"input":[1,2]}'
        answers.ask(engine.codec.read(body, "application/json"), body=body)
        answers.ask(rows(5))
        await asyncio.sleep(0)
        assert model.sizes == [2]
        assert answers.values(0) == [[2, 4]]
        assert answers.values(1) == [[10, 10]]

    run(work())


def test_rows_that_do_not_fit_are_refused_alone_with_the_runtimes_words() -> None:
    async def work() -> None:
        engine = engine_of(Model())
        answers = Answers(engine)
        for body in (b'{"input":[1,2]}', b'{"input":[1,2,3]}', b'{"inputs":[[1,2],[3,1e39]]}'):
            answers.ask(engine.codec.read(body, "application/json"), body=body)
        await asyncio.sleep(0)
        assert answers.values(0) == [[2, 4]]
        assert answers.code(1) == "bad_shape"
        assert "inputs[1][1] is 1e+39, out of range" in str(answers.found[2])

    run(work())
