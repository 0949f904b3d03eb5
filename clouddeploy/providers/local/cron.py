"""Crontab's five fields: whether a minute is one of theirs, and which was the last one.

As crontab(5) has them: ``*``, numbers, ranges, steps and lists, names of months and days; 0 and 7 are
Sunday; with both a day of the month and a day of the week given, either will do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from clouddeploy.errors import SpecError

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/([0-9]+))?")


@dataclass(frozen=True)
class Cron:
    """A schedule, read."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read five fields.

        Raises:
            SpecError: they can't be meant.
        """
        fields = text.split()
        minutes, hours, days, months, week = (
            _field(field, *limits, text) for field, limits in zip(fields, RANGES, strict=True)
        )
        either = not fields[2].startswith("*") and not fields[4].startswith("*")
        return cls(minutes, hours, days, months, frozenset(day % 7 for day in week), either)

    def _on_day(self, moment: datetime) -> bool:
        in_month, in_week = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return moment.month in self.months and (in_month or in_week if self.either else in_month and in_week)

    def last(self, now: datetime, since: datetime) -> datetime | None:
        """The latest minute of the schedule after `since` up to `now`, in the zone of `now`; or None."""
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        while day + timedelta(days=1) > since:
            if self._on_day(day):
                for hour in sorted(self.hours, reverse=True):
                    for minute in sorted(self.minutes, reverse=True):
                        moment = day.replace(hour=hour, minute=minute)
                        if since < moment <= now:
                            return moment
            day -= timedelta(days=1)
        return None


def _field(text: str, low: int, high: int, whole: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = PART.fullmatch(part)
        if match is None:
            raise _wrong(part, whole)
        first, last, step = match.groups()
        if first == "*":
            begin, end = low, high
        else:
            begin = _number(first, whole)
            end = _number(last, whole) if last else (high if step else begin)
        if not (low <= begin <= end <= high) or step == "0":
            raise _wrong(part, whole)
        found.update(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, whole: str) -> int:
    name = text.lower()
    if name.isdigit():
        return int(name)
    if name in MONTHS:
        return MONTHS.index(name) + 1
    if name in DAYS:
        return DAYS.index(name)
    raise _wrong(text, whole)


def _wrong(part: str, whole: str) -> SpecError:
    return SpecError(
        f"Schedule.cron is {whole!r}",
        why=f"{part!r} can't be read: allowed are *, numbers in range, a-b, a-b/n, and lists of these",
        fix="write for example '0 8 * * 1-5' for eight o'clock on weekdays",
    )
