"""Put-, Describe- and DeleteScheduledAction (Application Auto Scaling API Reference).

Actions are kept and checked; their time coming changes nothing here.
"""

from __future__ import annotations

import re
import time
import uuid
import zoneinfo
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.autoscaling.records import NOT_FOUND, Key
from clouddeploy.emulator.autoscaling.targets import check_limits, ours, page
from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.settings import ACCOUNT

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

RATE = re.compile(r"rate\([1-9]\d* (minute|minutes|hour|hours|day|days)\)")
AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
CRON = re.compile(r"cron\(([^()]*)\)")
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
# Field, lowest, highest, names: "Schedule recurring scaling actions using cron expressions"
# (Application Auto Scaling User Guide).
FIELDS: tuple[tuple[int, int, list[str]], ...] = (
    (0, 59, []),
    (0, 23, []),
    (1, 31, []),
    (1, 12, MONTHS),
    (1, 7, DAYS),
    (1970, 2199, []),
)
PART = re.compile(r"(\*|\?|L|LW|[A-Z0-9]+(?:-[A-Z0-9]+)?)(?:/(\d+)|#([1-5])|([LW]))?")


def check_schedule(text: str) -> None:
    """Refuse what is no schedule.

    Raises:
        Refused: neither ``at(…)``, ``rate(…)`` nor ``cron(…)`` with six fields in range.
    """
    at, cron = AT.fullmatch(text), CRON.fullmatch(text)
    good = bool(RATE.fullmatch(text))
    if at:
        try:
            good = bool(datetime.fromisoformat(at[1]))
        except ValueError:
            good = False
    if cron:
        fields = cron[1].split()
        pairs = zip(fields, FIELDS, strict=False)
        good = len(fields) == len(FIELDS) and all(_field(f.upper(), *rule) for f, rule in pairs)
        # "You can't use * in both the Day-of-month and Day-of-week fields": one of them must be ?.
        good = good and "?" in (fields[2], fields[4])
    if not good:
        raise Refused(f"Invalid schedule expression: {text}")


def _field(text: str, low: int, high: int, names: list[str]) -> bool:
    for item in text.split(","):
        match = PART.fullmatch(item)
        if match is None:
            return False
        if match[1] in ("*", "?", "L", "LW"):
            continue
        for word in match[1].split("-"):
            number = names.index(word) + low if word in names else int(word) if word.isdigit() else -1
            if not low <= number <= high:
                return False
    return True


def put(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """PutScheduledAction: an action of that name is changed."""
    if not ours(call):
        return None
    wish, key = call.params, Key.of(call)
    with cloud.scaling.lock:
        target = cloud.scaling.get(key)
        name = wish["ScheduledActionName"]
        old = target.actions.get(name, {})
        if not wish.get("Schedule") and not old:
            raise Refused("Schedule is required for a new scheduled action")
        if wish.get("Schedule"):
            check_schedule(wish["Schedule"])
        if wish.get("Timezone") and wish["Timezone"] not in zoneinfo.available_timezones():
            raise Refused(f"Invalid timezone: {wish['Timezone']}")
        limits = wish.get("ScalableTargetAction", old.get("ScalableTargetAction", {}))
        if not limits:
            raise Refused("ScalableTargetAction must have MinCapacity, MaxCapacity or both")
        check_limits(limits.get("MinCapacity"), limits.get("MaxCapacity"))
        arn = (
            f"arn:aws:autoscaling:{key.region}:{ACCOUNT}:scheduledAction:{uuid.uuid4()}:"
            f"resource/{key.namespace}/{key.resource}:scheduledActionName/{name}"
        )
        given: dict[str, Any] = {
            k: wish[k] for k in ("Schedule", "Timezone", "StartTime", "EndTime") if k in wish
        }
        target.actions[name] = {
            "ScheduledActionARN": arn,
            "CreationTime": time.time(),
            **old,
            "ScheduledActionName": name,
            **key.members(),
            **given,
            "ScalableTargetAction": limits,
        }
    return {}


def describe(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """DescribeScheduledActions."""
    if not ours(call):
        return None
    wish = call.params
    found = [
        action
        for target in cloud.scaling.of_region(call.region)
        for action in target.actions.values()
        if target.key.namespace == wish["ServiceNamespace"]
        and wish.get("ResourceId") in (None, target.key.resource)
        and wish.get("ScalableDimension") in (None, target.key.dimension)
        and (
            not wish.get("ScheduledActionNames")
            or action["ScheduledActionName"] in wish["ScheduledActionNames"]
        )
    ]
    return page(found, "ScheduledActions", wish)


def delete(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """DeleteScheduledAction."""
    if not ours(call):
        return None
    key, name = Key.of(call), call.params["ScheduledActionName"]
    with cloud.scaling.lock:
        target = cloud.scaling.find(key)
        if target is None or target.actions.pop(name, None) is None:
            message = f"No scheduled action found for {key.words()}, scheduled action name: {name}"
            raise Refused(message, code=NOT_FOUND)
    return {}
