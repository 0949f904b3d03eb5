"""From the five fields of crontab to the six of AWS.

AWS: minutes hours day-of-month month day-of-week year; one of the two days is ``?``; Sunday is 1
(Amazon EventBridge Scheduler User Guide, "Cron-based schedules"; Application Auto Scaling User Guide,
"Schedule recurring scaling actions using cron expressions").
"""

from __future__ import annotations

from dataclasses import dataclass

from clouddeploy.errors import SpecError
from clouddeploy.spec import suggest

MONTHS = {
    m: i
    for i, m in enumerate(
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], start=1
    )
}
DAYS = {d: i for i, d in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])}
DAY_NAMES = tuple(DAYS)


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    words: dict[str, int]


FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, MONTHS),
    _Field("day of week", 0, 7, DAYS),
)


def to_aws(crontab: str) -> str:
    """``"0 8 * * 1-5"`` -> ``"cron(0 8 ? * MON-FRI *)"``.

    Raises:
        SpecError: a field can't be read, or both days are given: crontab then means 'either',
            which AWS can't say.
    """
    texts = crontab.upper().split()
    values = [_expand(text, field, crontab) for text, field in zip(texts, FIELDS, strict=True)]
    minute, hour, day, month = (_write(v, f) for v, f in zip(values[:4], FIELDS[:4], strict=True))
    week = sorted({v % 7 for v in values[4]})
    every_day, every_weekday = day == "*", len(week) == 7
    if not every_day and not every_weekday:
        raise SpecError(
            f"Schedule.cron {crontab!r} names a day of the month and a day of the week",
            why="crontab runs it on either of them, and an AWS schedule can't say that",
            fix="write two schedules, one for each",
        )
    if every_weekday:
        return f"cron({minute} {hour} {day} {month} ? *)"
    return f"cron({minute} {hour} ? {month} {_weekdays(week)} *)"


def _expand(text: str, field: _Field, crontab: str) -> list[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = int(step_text) if slash and step_text.isdigit() else 0 if slash else 1
        if span == "*":
            low, high = field.low, min(field.high, 6) if field.words is DAYS else field.high
        else:
            first, dash, last = span.partition("-")
            low = _value(first, field)
            high = _value(last, field) if dash else (field.high if slash else low)
        if step < 1 or not field.low <= low <= high <= field.high:
            raise SpecError(
                f"Schedule.cron {crontab!r} has the {field.name} {part!r}",
                why=f"allowed: {field.low} to {field.high}, lists, ranges and steps of them, or *",
                fix="write for example '0 8 * * 1-5' for eight o'clock on weekdays",
            )
        found.update(range(low, high + 1, step))
    return sorted(found)


def _value(text: str, field: _Field) -> int:
    if text.isdigit():
        return int(text)
    return field.words.get(text, -1)


def _write(values: list[int], field: _Field) -> str:
    if len(values) == field.high - field.low + 1:
        return "*"
    if len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]}-{values[-1]}"
    return ",".join(map(str, values))


def _weekdays(values: list[int]) -> str:
    if len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return f"{DAY_NAMES[values[0]]}-{DAY_NAMES[values[-1]]}"
    return ",".join(DAY_NAMES[v] for v in values)


def check_timezone(name: str) -> None:
    """See that `name` is a time zone, as far as this machine knows them.

    Raises:
        SpecError: it isn't.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        known = available_timezones()
        if known:  # else this machine has no such database, and AWS will tell
            raise SpecError(
                f"Schedule.timezone is {name!r}{suggest(name, known)}",
                why="allowed: names of the IANA time zone database",
                fix="write for example 'Europe/Dublin'",
            ) from error
