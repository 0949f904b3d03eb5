"""Sums of CloudWatch metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from clouddeploy.providers.aws.client import Aws


def sums(
    aws: Aws,
    namespace: str,
    dimensions: Sequence[Mapping[str, str]],
    queries: Mapping[str, tuple[str, str]],
    *,
    since_s: float,
) -> dict[str, float]:
    """What each query adds up to over the past `since_s` seconds; 0 where nothing was recorded.

    Args:
        aws: the seam.
        namespace: of the metrics, such as ``AWS/Lambda``.
        dimensions: as GetMetricData takes them.
        queries: a name for each ``(metric, statistic)``.
        since_s: seconds to look back.
    """
    period_s = max(60, math.ceil(since_s / 60) * 60)
    now = time.time()
    asked: list[dict[str, Any]] = [
        {
            "Id": key,
            "MetricStat": {
                "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions},
                "Period": period_s,
                "Stat": statistic,
            },
        }
        for key, (metric, statistic) in queries.items()
    ]
    found = aws.pages(
        "cloudwatch",
        "GetMetricData",
        "MetricDataResults",
        MetricDataQueries=asked,
        StartTime=datetime.fromtimestamp(now - since_s, UTC),
        EndTime=datetime.fromtimestamp(now, UTC),
    )
    totals = dict.fromkeys(queries, 0.0)
    for result in found:
        totals[result["Id"]] += sum(result.get("Values", ()))
    return totals
