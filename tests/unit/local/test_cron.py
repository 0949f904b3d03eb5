from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouddeploy.errors import SpecError
from clouddeploy.providers.local.cron import Cron

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=ZoneInfo("Europe/Dublin"))  # a Wednesday


def last(cron: str, days: float = 400) -> datetime | None:
    return Cron.parse(cron).last(NOW, NOW - timedelta(days=days))


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("* * * * *", "2026-11-25 09:30"),
        ("0 8 * * 1-5", "2026-11-25 08:00"),
        ("0 10 * * 1-5", "2026-11-24 10:00"),
        ("*/7 * * * *", "2026-11-25 09:28"),
        ("0 0 * * sun", "2026-11-22 00:00"),
        ("0 0 * * 7", "2026-11-22 00:00"),
        ("0 0 1 jan *", "2026-01-01 00:00"),
        ("15,45 6 13 * 5", "2026-11-20 06:45"),  # day of month or of week
        ("30 9 25 11 *", "2026-11-25 09:30"),
    ],
)
def test_the_last_minute_of_a_schedule_is_found(cron: str, expected: str) -> None:
    found = last(cron)
    assert found is not None
    assert found.strftime("%Y-%m-%d %H:%M") == expected


def test_what_was_before_the_policy_was_set_does_not_count() -> None:
    assert last("0 8 * * *", days=1 / 24) is None
    assert last("0 8 * * *", days=2 / 24) is not None


@pytest.mark.parametrize(
    "cron", ["60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "x * * * *", "5-1 * * * *"]
)
def test_a_schedule_that_cannot_be_meant_is_refused(cron: str) -> None:
    with pytest.raises(SpecError, match=r"Schedule\.cron"):
        Cron.parse(cron)


@given(st.integers(0, 59), st.integers(0, 23), st.integers(1, 28), st.integers(1, 12))
def test_a_given_minute_of_the_year_is_found(minute: int, hour: int, day: int, month: int) -> None:
    found = last(f"{minute} {hour} {day} {month} *")
    assert found is not None
    assert (found.minute, found.hour, found.day, found.month) == (minute, hour, day, month)
    assert found <= NOW
