"""Cloud Monitoring: Cloud Run's request counts and latencies, and alert policies (API v3).

"Google Cloud metrics P to Z", ``run.googleapis.com``: ``request_count`` and ``request_latencies`` by
revision, response code and class, one point a minute.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google import logs
from clouddeploy.emulator.google.call import Call, seconds, stamp
from clouddeploy.emulator.google.errors import invalid, missing
from clouddeploy.emulator.google.filters import compile_filter
from clouddeploy.emulator.google.listing import page

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

MINUTE_S = 60
COUNT = "run.googleapis.com/request_count"
LATENCIES = "run.googleapis.com/request_latencies"
SUMMING = ("ALIGN_SUM", "ALIGN_DELTA")
FACTOR, BUCKETS = 1.1, 120
MESSAGES = {
    "AlertPolicy": """
        name displayName documentation:any userLabels:map conditions:any[] combiner enabled:bool validity:any
        notificationChannels:[] creationRecord:any mutationRecord:any alertStrategy:any severity
    """
}


@dataclass
class _Minute:
    count: int = 0
    total_ms: float = 0.0
    squares: float = 0.0
    buckets: dict[int, int] = field(default_factory=dict)


_Point = tuple[float, float, _Minute]


class Requests:
    """What was asked of every revision, by minute and response code."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minutes: dict[tuple[str, int], dict[int, _Minute]] = {}

    def ran(self, revision: str, code: int, elapsed_s: float) -> None:
        """One request and how long it took."""
        ms = elapsed_s * 1000
        at = int(time.time() // MINUTE_S)
        bucket = 0 if ms < 1 else min(BUCKETS + 1, int(math.log(ms, FACTOR)) + 1)
        with self._lock:
            minute = self._minutes.setdefault((revision, code), {}).setdefault(at, _Minute())
            minute.count += 1
            minute.total_ms += ms
            minute.squares += ms * ms
            minute.buckets[bucket] = minute.buckets.get(bucket, 0) + 1

    def series(self, start: float, end: float, period_s: int = 0) -> Iterator[dict[str, Any]]:
        """All time series with a point between two moments, the newest point first.

        Args:
            period_s: points are summed over periods of so many seconds that end with the interval; 0: not.
        """
        with self._lock:
            known = [(key, dict(minutes)) for key, minutes in self._minutes.items()]
        for (revision, code), minutes in known:
            within = {
                at: m for at, m in sorted(minutes.items(), reverse=True)
                if start < (at + 1) * MINUTE_S and at * MINUTE_S <= end
            }  # fmt: skip
            if not within:
                continue
            points = _aligned(within, end, period_s) if period_s else _by_minute(within)
            yield _series(revision, code, COUNT, "INT64", [(*p[:2], _count(p[2])) for p in points])
            yield _series(
                revision, code, LATENCIES, "DISTRIBUTION", [(*p[:2], _spread(p[2])) for p in points]
            )

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._minutes.clear()


def _by_minute(minutes: dict[int, _Minute]) -> list[_Point]:
    return [(at * MINUTE_S, (at + 1) * MINUTE_S, minute) for at, minute in minutes.items()]


def _aligned(minutes: dict[int, _Minute], end: float, period_s: int) -> list[_Point]:
    found: dict[int, _Minute] = {}
    for at, minute in minutes.items():
        total = found.setdefault(int(max(0.0, end - at * MINUTE_S) // period_s), _Minute())
        total.count += minute.count
        total.total_ms += minute.total_ms
        total.squares += minute.squares
        for bucket, count in minute.buckets.items():
            total.buckets[bucket] = total.buckets.get(bucket, 0) + count
    return [(end - (n + 1) * period_s, end - n * period_s, total) for n, total in sorted(found.items())]


def _count(minute: _Minute) -> dict[str, Any]:
    return {"int64Value": str(minute.count)}


def _spread(minute: _Minute) -> dict[str, Any]:
    counts = [str(minute.buckets.get(i, 0)) for i in range(max(minute.buckets) + 1)]
    mean = minute.total_ms / minute.count
    value = {
        "count": str(minute.count),
        "mean": mean,
        "sumOfSquaredDeviation": max(0.0, minute.squares - minute.count * mean * mean),
        "bucketOptions": {
            "exponentialBuckets": {"numFiniteBuckets": BUCKETS, "growthFactor": FACTOR, "scale": 1}
        },
        "bucketCounts": counts,
    }
    return {"distributionValue": value}


def _series(
    revision: str, code: int, kind: str, value: str, points: list[tuple[float, float, Any]]
) -> dict[str, Any]:
    labels = {"response_code": str(code), "response_code_class": f"{code // 100}xx"}
    return {
        "metric": {"type": kind, "labels": labels},
        "resource": logs.resource_of(revision),
        "metricKind": "DELTA",
        "valueType": value,
        "points": [
            {"interval": {"startTime": stamp(began), "endTime": stamp(ended)}, "value": point}
            for began, ended, point in points
        ],
    }


def list_series(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.timeSeries.list``, each series by itself: as it is, or summed over periods.

    Raises:
        ApiError: no interval, a filter without a metric type, or an aligner that isn't offered here.
    """
    query = call.query
    end_text, start_text = query.get("interval.endTime"), query.get("interval.startTime")
    if not end_text:
        raise invalid("Field interval.end_time had an invalid value.", "interval.end_time")
    text = query.get("filter", "")
    if "metric.type" not in text:
        raise invalid(
            'Field filter had an invalid value of "" : must specify a restriction on "metric.type".', "filter"
        )
    end = seconds(end_text)
    aligner, period = (
        query.get("aggregation.perSeriesAligner"),
        query.get("aggregation.alignmentPeriod", "0s"),
    )
    if aligner not in (None, "ALIGN_NONE", *SUMMING):
        raise invalid(
            f"The embedded cloud aligns by {' and '.join(SUMMING)}, not by {aligner}.", "aggregation"
        )
    period_s = int(float(period.rstrip("s"))) if aligner in SUMMING else 0
    test = compile_filter(text)
    found = [
        s
        for s in cloud.requests.series(seconds(start_text) if start_text else end, end, period_s)
        if s["resource"]["labels"]["project_id"] == call.project and test(s)
    ]
    return page(call, "timeSeries", found)


def create_alert(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.alertPolicies.create``"""
    for lacking in ("displayName", "conditions", "combiner"):
        if not call.body.get(lacking):
            raise invalid(f"Field alert_policy.{lacking} had an invalid value: it is required.", lacking)
    name = f"projects/{call.project}/alertPolicies/{uuid.uuid4().int % 10**19}"
    conditions = [
        {**c, "name": f"{name}/conditions/{uuid.uuid4().int % 10**19}"} for c in call.body["conditions"]
    ]
    made = {"enabled": True, **call.body, "name": name, "conditions": conditions}
    cloud.alerts[name] = made
    return made


def list_alerts(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.alertPolicies.list``"""
    test = compile_filter(call.query.get("filter", "").replace("user_labels", "userLabels"))
    start = f"projects/{call.project}/"
    return page(
        call, "alertPolicies", [a for n, a in cloud.alerts.items() if n.startswith(start) and test(a)]
    )


def get_alert(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.alertPolicies.get``"""
    found = cloud.alerts.get(call.name)
    if found is None:
        raise missing(call.name)
    return found


def patch_alert(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.alertPolicies.patch``"""
    found = get_alert(cloud, call)
    mask = [m for m in call.query.get("updateMask", "").split(",") if m] or list(call.body)
    found.update({k: v for k, v in call.body.items() if k in mask and k != "name"})
    return found


def delete_alert(cloud: Google, call: Call) -> dict[str, Any]:
    """``projects.alertPolicies.delete``"""
    get_alert(cloud, call)
    del cloud.alerts[call.name]
    return {}
