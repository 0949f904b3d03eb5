"""Which requests of a load count."""

from __future__ import annotations

from itertools import islice

from hypothesis import example, given
from hypothesis import strategies as st

from clouddeploy.bench import Load


@given(st.floats(0, 1e8), st.sampled_from([1, 3, 30, 100, 1000, 9999]), st.sampled_from([0.0, 0.05, 1.0]))
@example(32_769.3217, 100, 0.05)
@example(34_176.1, 200, 0.05)
def test_as_many_requests_count_as_the_rate_says_however_long_the_clock_has_run(
    start: float, rate: int, warm_up_s: float
) -> None:
    load = Load(url="http://localhost/", rate=rate, duration_s=1.0, warm_up_s=warm_up_s)
    begin, end = load.counted(start)
    due = [start + at for at in islice(load.due(), 3 * rate + 3)]
    before = sum(one < begin for one in due)
    assert before in (int(rate * warm_up_s), int(rate * warm_up_s) + 1)
    assert abs(sum(begin <= one < end for one in due) - rate) <= (rate * warm_up_s % 1 > 0)
