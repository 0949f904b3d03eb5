from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from clouddeploy.providers.local.counting import Counts, Level
from clouddeploy.providers.local.mapping import policy
from clouddeploy.providers.local.scaling import Load, Scaler
from clouddeploy.spec import Autoscaling, Schedule

BEGIN = datetime(2026, 11, 25, 7, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0


def scaler(**wish: Any) -> Scaler:
    return Scaler(policy(Autoscaling(**{"min": 1, "max": 4, **wish})), BEGIN)


def test_copies_follow_the_requests_in_progress() -> None:
    one = scaler(concurrency=2, scale_out_cooldown_s=0)
    assert one.wanted(1, Load(1.5, 0), BEGIN) == 1
    assert one.wanted(1, Load(4.5, 0), BEGIN) == 3
    assert one.wanted(1, Load(99, 0), BEGIN) == 4


def test_copies_follow_the_requests_a_minute_the_processor_and_the_capacity() -> None:
    assert scaler(requests_per_minute=100).wanted(1, Load(0, 250), BEGIN) == 3
    assert scaler(cpu=0.5).wanted(1, Load(0, 0, 0.9), BEGIN) == 2
    assert scaler(cpu=0.5).wanted(2, Load(0, 0, None), BEGIN) == 2
    assert scaler(utilization=0.5).wanted(1, Load(7, 0), BEGIN) == 2


def test_two_increases_are_a_cooldown_apart() -> None:
    one = scaler(concurrency=1, scale_out_cooldown_s=60)
    assert one.wanted(1, Load(2, 0), BEGIN) == 2
    assert one.wanted(2, Load(4, 0), BEGIN + 59) == 2
    assert one.wanted(2, Load(4, 0), BEGIN + 60) == 4


def test_copies_go_one_by_one_after_lower_load_for_the_whole_cooldown() -> None:
    one = scaler(concurrency=1, scale_in_cooldown_s=100)
    assert one.wanted(4, Load(1, 0), BEGIN) == 4
    assert one.wanted(4, Load(4, 0), BEGIN + 50) == 4
    assert one.wanted(4, Load(1, 0), BEGIN + 60) == 4
    assert one.wanted(4, Load(1, 0), BEGIN + 159) == 4
    assert one.wanted(4, Load(1, 0), BEGIN + 160) == 3
    assert one.wanted(3, Load(0, 0), BEGIN + 200) == 3
    assert one.wanted(3, Load(0, 0), BEGIN + 260) == 2


def test_a_copy_more_is_needed_where_copies_refuse_however_few_requests_they_let_in() -> None:
    for target in ({"concurrency": 8}, {"utilization": 0.5}):
        one = scaler(**target)
        assert one.wanted(1, Load(2, 0, refused=3), BEGIN) == 2
        assert one.wanted(4, Load(2, 0, refused=3), BEGIN + 60) == 4
    assert scaler().wanted(1, Load(2, 0, refused=3), BEGIN) == 1


def test_without_a_target_only_the_limits_count() -> None:
    assert scaler(min=2).wanted(1, Load(100, 0), BEGIN) == 2
    assert scaler(max=3).wanted(4, Load(0, 0), BEGIN) == 3
    assert scaler(min=0).limits(BEGIN) == (1, 4)


def test_a_schedule_changes_the_limits_from_its_time_on() -> None:
    plans = (Schedule(cron="0 8 * * *", min=3), Schedule(cron="0 18 * * *", min=1, max=2))
    one = scaler(schedules=plans)
    assert one.limits(BEGIN + 0.5 * HOUR) == (1, 4)
    assert one.limits(BEGIN + HOUR) == (3, 4)
    assert one.limits(BEGIN + 11 * HOUR) == (1, 2)
    assert one.limits(BEGIN + 26 * HOUR) == (2, 2)  # the next morning; max stays as the evening set it
    assert one.wanted(1, Load(0, 0), BEGIN + HOUR) == 3


def test_a_level_has_the_mean_over_time() -> None:
    now = [0.0]
    level = Level(lambda: now[0])
    level.change(4)
    now[0] = 1.0
    level.change(-4)
    now[0] = 2.0
    assert level.take_mean() == 2.0
    now[0] = 3.0
    assert level.take_mean() == 0.0


def test_counts_forget_what_is_older_than_asked_for() -> None:
    now = [1000.0]
    counts = Counts(lambda: now[0], bucket_s=10)
    counts.add(200, 10)
    counts.add(404, 20)
    counts.add(500, 30)
    now[0] = 1100.0
    counts.add(200, 5)
    assert counts.over(1000) == {"requests": 4, "errors_4xx": 1, "errors_5xx": 1, "latency_ms": 65 / 4}
    assert counts.over(30) == {"requests": 1, "errors_4xx": 0, "errors_5xx": 0, "latency_ms": 5}
    assert Counts().over(60)["latency_ms"] == 0
