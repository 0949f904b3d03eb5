"""moto's CloudWatch metrics, written to from inside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from clouddeploy.emulator.backends.turns import turn
from clouddeploy.emulator.settings import ACCOUNT


def put(
    region: str,
    name: str,
    dimensions: dict[str, str],
    *,
    at: float,
    count: int,
    total: float,
    least: float,
    most: float,
    unit: str,
    namespace: str = "AWS/SageMaker",
) -> None:
    """Add a statistic set at the Unix time `at`."""
    from moto.cloudwatch.models import cloudwatch_backends

    datum: dict[str, Any] = {
        "MetricName": name,
        "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
        # moto compares with times that carry no zone.
        "Timestamp": datetime.fromtimestamp(int(at), UTC).replace(tzinfo=None),
        "StatisticValues": {"SampleCount": count, "Sum": total, "Minimum": least, "Maximum": most},
        "Unit": unit,
    }
    with turn("monitoring"):
        cloudwatch_backends[ACCOUNT][region].put_metric_data(namespace, [datum])
