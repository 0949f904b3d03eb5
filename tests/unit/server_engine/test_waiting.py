from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.server.engine.jobs import Job
from clouddeploy.server.engine.waiting import Waiting
from tests.unit.server_engine.rig import Caller, rows


def job(size: int, key: Any, deadline: float | None, gone: bool) -> Job:
    caller = Caller()
    caller.gone = gone
    made = Job(rows(*range(size)), deadline, b"", caller)
    made.key = key
    return made


KEYS = ("a", "b", "c", None)
JOBS = st.lists(
    st.tuples(
        st.integers(1, 9),
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from([None, 1.0, 3.0]),
        st.booleans(),
    ),
    max_size=25,
)


@given(JOBS, st.integers(1, 8), st.sampled_from([0.0, 2.0, 4.0]))
def test_every_job_is_taken_once_in_order_in_batches_that_fit(made: Any, most: int, now: float) -> None:
    waiting = Waiting()
    jobs = [job(*what) for what in made]
    for one in jobs:
        waiting.append(one)
    batches, late = [], []
    while len(waiting):
        oldest = next((o for o in jobs if o in waiting._jobs and not o.caller.gone), None)  # type: ignore[union-attr]
        batch, passed = waiting.take(most, now)
        batches.append(batch)
        late += passed
        assert len({one.key for one in batch}) <= 1
        assert sum(one.size for one in batch) <= most or len(batch) == 1
        if oldest is not None and oldest not in passed and not passed:
            assert batch[0] is oldest
    taken = [one for batch in batches for one in batch]
    over = [one for one in jobs if one.deadline is not None and one.deadline <= now]
    gone = [one for one in jobs if one.caller.gone]  # type: ignore[union-attr]
    assert waiting.examples == 0
    assert set(map(id, late)) == {id(one) for one in over if one not in gone}
    assert sorted(map(id, taken)) == sorted(id(one) for one in jobs if one not in over and one not in gone)
    for key in KEYS:
        of_key = [one for one in taken if one.key == key]
        assert of_key == [one for one in jobs if one in of_key], "those of one shape keep their order"


@given(JOBS, st.sampled_from([0.0, 2.0, 4.0]))
def test_expired_ones_leave_and_the_others_keep_their_places(made: Any, now: float) -> None:
    waiting = Waiting()
    jobs = [job(*what) for what in made]
    for one in jobs:
        waiting.append(one)
    late = waiting.expire(now)
    kept = [one for one in jobs if one.deadline is None or one.deadline > now]
    assert [one for one in jobs if one not in late] == kept
    assert waiting.examples == sum(one.size for one in kept)
    deadlines = [one.deadline for one in kept if one.deadline is not None]
    assert waiting.next_deadline() == (min(deadlines) if deadlines else None)
    assert waiting.clear() == kept
    assert (len(waiting), waiting.examples) == (0, 0)
