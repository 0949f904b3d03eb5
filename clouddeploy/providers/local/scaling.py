"""How many copies of a release there should be, by the neutral policy and what the requests are like.

Pure: numbers in, a number out. The keeper measures and starts or stops copies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from clouddeploy.providers.local.cron import Cron

OUT_S, IN_S = 15.0, 120.0
"""Seconds between two increases, and two decreases, where the policy names none."""
CAPACITY = 8
"""Requests that a copy takes at once, for `utilization`, where `Compute.max_concurrency` isn't given."""


@dataclass(frozen=True)
class Load:
    """What one release's requests were like lately, over all its copies.

    Args:
        in_progress: mean of the requests at the same time.
        per_minute: requests in the past minute.
        cpu: cores that its processes used; None where that isn't measured.
        refused: requests for which a copy had too much to do, in the past second.
    """

    in_progress: float
    per_minute: float
    cpu: float | None = None
    refused: int = 0


@dataclass
class Scaler:
    """Decides for one release.

    Args:
        policy: the fields of `Autoscaling`, as plain values.
        since: when the policy was set (`time.time`); schedules count from then on.
        capacity: requests that a copy takes at once.
    """

    policy: Mapping[str, Any]
    since: float
    capacity: int = CAPACITY
    _out_at: float = field(default=-math.inf, repr=False)
    _low_since: float | None = field(default=None, repr=False)

    @property
    def needs_cpu(self) -> bool:
        """Whether the processor time has to be measured."""
        return self.policy["cpu"] is not None

    def limits(self, now: float) -> tuple[int, int]:
        """The least and the most copies at the time `now` (`time.time`); at least one of each."""
        fired = []
        for schedule in self.policy["schedules"]:
            zone = ZoneInfo(schedule["timezone"])
            moment = datetime.fromtimestamp(now, zone)
            last = Cron.parse(schedule["cron"]).last(moment, datetime.fromtimestamp(self.since, zone))
            if last is not None:
                fired.append((last.astimezone(UTC), schedule))
        low, high = int(self.policy["min"]), int(self.policy["max"])
        for _, schedule in sorted(fired, key=lambda pair: pair[0]):
            low = schedule["min"] if schedule["min"] is not None else low
            high = schedule["max"] if schedule["max"] is not None else high
        high = max(1, high)
        return max(1, min(low, high)), high

    def wanted(self, copies: int, load: Load, now: float) -> int:
        """How many copies there should be from now on.

        Args:
            copies: how many there are.
            load: what they do.
            now: seconds since the epoch.
        """
        low, high = self.limits(now)
        need = self._needed(load, copies)
        if copies < low or copies > high:
            return max(low, min(copies, high))
        if need is None or need == copies:
            self._low_since = None
            return copies
        if need > copies:
            self._low_since = None
            if now - self._out_at < self._pause("scale_out_cooldown_s", OUT_S):
                return copies
            found = min(need, high)
            self._out_at = now if found > copies else self._out_at
            return found
        if self._low_since is None:
            self._low_since = now
        if now - self._low_since < self._pause("scale_in_cooldown_s", IN_S) or copies <= low:
            return copies
        self._low_since = now
        return copies - 1

    def _needed(self, load: Load, copies: int) -> int | None:
        amounts = {
            "requests_per_minute": load.per_minute,
            "concurrency": load.in_progress,
            "utilization": load.in_progress / self.capacity,
            "cpu": load.cpu,
        }
        for name, amount in amounts.items():
            target = self.policy[name]
            if target is None:
                continue
            if amount is None:
                return None
            # What is refused isn't in progress: copies that refuse are too few, whatever the target.
            least = copies + 1 if load.refused and name in ("concurrency", "utilization") else 0
            return max(least, math.ceil(amount / float(target)))
        return None

    def _pause(self, name: str, usual_s: float) -> float:
        return usual_s if self.policy[name] is None else float(self.policy[name])
