"""Alarms: what they watch, and when they go on and off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clouddeploy.providers.local.counting import Counts

MINUTE_S = 60.0


class Alarms:
    """Looks at the figures, minute by minute.

    Args:
        wishes: the fields of each `Alarm`, as plain values.
        counts: of the service's requests.

    Attributes:
        on: what is above its limit now, in words.
    """

    def __init__(self, wishes: Sequence[Mapping[str, Any]], counts: Counts) -> None:
        self.on: list[str] = []
        self._wishes, self._counts = wishes, counts

    def changes(self) -> list[str]:
        """What went on or off since the last look."""
        now = [_text(wish) for wish in self._wishes if self._is_on(wish)]
        found = [f"on: {text}" for text in now if text not in self.on]
        found += [f"off: {text}" for text in self.on if text not in now]
        self.on = now
        return found

    def _is_on(self, wish: Mapping[str, Any]) -> bool:
        """Whether each of the last minutes was above; a minute without a request isn't."""
        before: Mapping[str, float] = {"requests": 0.0, wish["metric"]: 0.0, "latency_ms": 0.0}
        for minute in range(1, int(wish["minutes"]) + 1):
            upto = self._counts.over(minute * MINUTE_S)
            if _within(wish["metric"], upto, before) <= float(wish["above"]):
                return False
            before = upto
        return True


def _within(metric: str, upto: Mapping[str, float], before: Mapping[str, float]) -> float:
    """The figure of the minute between two spans that end now."""
    if metric != "latency_ms":
        return upto[metric] - before[metric]
    requests = upto["requests"] - before["requests"]
    took = upto["latency_ms"] * upto["requests"] - before["latency_ms"] * before["requests"]
    return took / requests if requests else 0.0


def _text(wish: Mapping[str, Any]) -> str:
    return f"{wish['metric']} above {wish['above']:g} for {wish['minutes']} min"
