"""From crontab's five fields to AWS's six."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.errors import SpecError
from clouddeploy.providers.aws.cron import DAY_NAMES, to_aws


@pytest.mark.parametrize(
    ("crontab", "aws"),
    [
        ("0 8 * * 1-5", "cron(0 8 ? * MON-FRI *)"),
        ("30 20 1 * *", "cron(30 20 1 * ? *)"),
        ("* * * * *", "cron(* * * * ? *)"),
        ("0 0 * * 0", "cron(0 0 ? * SUN *)"),
        ("0 0 * * 7", "cron(0 0 ? * SUN *)"),
        ("0 0 * * 6,0", "cron(0 0 ? * SUN,SAT *)"),
        ("0 0 * * fri-sun", None),
        ("0 0 * * 5-7", "cron(0 0 ? * SUN,FRI,SAT *)"),
        ("*/15 9-17 * * mon-fri", "cron(0,15,30,45 9-17 ? * MON-FRI *)"),
        ("0 6 1,15 jan,JUL *", "cron(0 6 1,15 1,7 ? *)"),
        ("0 6 */10 * *", "cron(0 6 1,11,21,31 * ? *)"),
        ("5/20 * * * *", "cron(5,25,45 * * * ? *)"),
        ("0 0 * * 0-6", "cron(0 0 * * ? *)"),
        ("0 0 * * */2", "cron(0 0 ? * SUN,TUE,THU,SAT *)"),
    ],
)
def test_fields_are_converted(crontab: str, aws: str | None) -> None:
    if aws is None:
        with pytest.raises(SpecError):
            to_aws(crontab)
    else:
        assert to_aws(crontab) == aws


@pytest.mark.parametrize(
    "crontab",
    [
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "a * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "*/x * * * *",
        "1,,2 * * * *",
    ],
)
def test_a_field_out_of_range_is_refused_by_name(crontab: str) -> None:
    with pytest.raises(SpecError, match=r"minute|hour|day of month|month|day of week"):
        to_aws(crontab)


def test_both_days_at_once_are_refused_since_aws_can_not_say_either() -> None:
    with pytest.raises(SpecError, match="day of the month and a day of the week"):
        to_aws("0 0 1 * 1")


@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.one_of(st.none(), st.integers(1, 31)),
    st.sets(st.integers(0, 7), min_size=1),
)
def test_exactly_one_of_the_two_days_is_a_question_mark(
    minute: int, hour: int, day: int | None, week: set[int]
) -> None:
    days = "*" if day is None else str(day)
    weekdays = ",".join(map(str, sorted(week))) if day is None else "*"
    fields = to_aws(f"{minute} {hour} {days} * {weekdays}")[5:-1].split()
    assert len(fields) == 6
    assert (fields[2] == "?") != (fields[4] == "?")
    assert fields[:2] == [str(minute), str(hour)]
    if fields[2] == "?" and "-" not in fields[4]:
        assert {DAY_NAMES.index(n) for n in fields[4].split(",")} == {d % 7 for d in week}
