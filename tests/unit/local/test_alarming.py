from __future__ import annotations

from dataclasses import asdict

from clouddeploy.providers.local.alarming import Alarms
from clouddeploy.providers.local.counting import Counts
from clouddeploy.spec import Alarm


def test_an_alarm_goes_on_when_every_minute_was_above_and_off_again() -> None:
    now = [0.0]
    counts = Counts(lambda: now[0])
    alarms = Alarms([asdict(Alarm(metric="errors_5xx", above=1, minutes=2))], counts)
    counts.add(500, 1)
    counts.add(500, 1)
    assert alarms.changes() == []
    now[0] = 75.0
    counts.add(500, 1)
    assert alarms.changes() == []
    counts.add(500, 1)
    assert alarms.changes() == ["on: errors_5xx above 1 for 2 min"]
    assert alarms.changes() == []
    now[0] = 300.0
    assert alarms.changes() == ["off: errors_5xx above 1 for 2 min"]


def test_latency_is_the_mean_of_its_own_minute() -> None:
    now = [0.0]
    counts = Counts(lambda: now[0])
    alarms = Alarms([asdict(Alarm(metric="latency_ms", above=50))], counts)
    for _ in range(10):
        counts.add(200, 10)
    now[0] = 100.0
    counts.add(200, 90)
    assert alarms.changes() == ["on: latency_ms above 50 for 1 min"]
