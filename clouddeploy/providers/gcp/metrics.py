"""Cloud Monitoring: what a Cloud Run service was asked, how it answered and how long it took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from clouddeploy.providers.gcp.client import Gcp

COUNT: Final = "run.googleapis.com/request_count"
LATENCIES: Final = "run.googleapis.com/request_latencies"
"""Milliseconds, as a distribution (Cloud Monitoring, "Google Cloud metrics": run)."""


def service_metrics(gcp: Gcp, service: str, *, since_s: float) -> dict[str, float]:
    """What the Cloud Run service did in the past `since_s` seconds.

    Returns:
        ``requests``, ``errors_4xx``, ``errors_5xx`` and the mean ``latency_ms``.
    """
    totals = dict.fromkeys(("requests", "errors_4xx", "errors_5xx"), 0.0)
    for series in _series(gcp, COUNT, service, since_s, "ALIGN_SUM"):
        counted = sum(_number(p) for p in series.get("points", ()))
        totals["requests"] += counted
        kind = (series.get("metric") or {}).get("labels", {}).get("response_code_class", "")
        if f"errors_{kind}" in totals:
            totals[f"errors_{kind}"] += counted
    return {**totals, "latency_ms": _mean(_series(gcp, LATENCIES, service, since_s, "ALIGN_DELTA"))}


def _series(gcp: Gcp, metric: str, service: str, since_s: float, aligner: str) -> Iterable[dict[str, Any]]:
    # One point an interval: the period is the whole of it, in minutes, the finest that there is.
    period_s = max(60, math.ceil(since_s / 60) * 60)
    end = datetime.now(UTC)
    asked: dict[str, Any] = {
        "name": f"projects/{gcp.project}",
        "filter": f'metric.type="{metric}" AND resource.labels.service_name="{service}" '
        f'AND resource.labels.location="{gcp.region}"',
        "interval.startTime": (end - timedelta(seconds=since_s)).isoformat(timespec="milliseconds"),
        "interval.endTime": end.isoformat(timespec="milliseconds"),
        "aggregation.alignmentPeriod": f"{period_s}s",
        "aggregation.perSeriesAligner": aligner,
    }
    return gcp.pages("monitoring", "ListTimeSeries", "timeSeries", **asked)


def _number(point: Mapping[str, Any]) -> float:
    value = point.get("value") or {}
    return float(value.get("int64Value", value.get("doubleValue", 0)))


def _mean(found: Iterable[Mapping[str, Any]]) -> float:
    """Mean of distributions, each weighed by how many it counts."""
    count = total = 0.0
    for series in found:
        for point in series.get("points", ()):
            distribution = (point.get("value") or {}).get("distributionValue") or {}
            here = float(distribution.get("count", 0))
            count += here
            total += here * float(distribution.get("mean", 0.0))
    return total / count if count else 0.0
