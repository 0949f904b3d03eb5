"""Alarms on a Cloud Run service, for a service or for a function, in Cloud Monitoring's terms.

"Google Cloud metrics P to Z", ``run.googleapis.com``: ``request_count`` by ``response_code_class``, and
``request_latencies`` in milliseconds; neither has requests that didn't reach a container.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from clouddeploy.engine.finding import Finding
from clouddeploy.errors import SpecError
from clouddeploy.providers.gcp.alarms import AlertPolicy, Policies
from clouddeploy.providers.gcp.metrics import COUNT, LATENCIES
from clouddeploy.spec import Alarm, Deployment

LABEL: Final = {"clouddeploy-alarms": "1"}
"""On a function or service that has alarms, or had some: only there are they looked for. It stays, so that
no deploy that is killed leaves alarms behind that nobody looks for."""
CHANNEL: Final = re.compile(r"projects/[^/\s]+/notificationChannels/[^/\s]+")
MINUTE_S: Final = 60
COUNTS: Final = {
    "errors_4xx": "it counts requests that reached an instance, so none that weren't allowed to",
    "errors_5xx": "it counts requests that reached an instance, so none for which there was no room",
    "latency_ms": "it is the mean time of whole requests at an instance, not of the model alone",
}


def refuse_alarms(alarms: Iterable[Alarm]) -> None:
    """Refuse what isn't a notification channel.

    Raises:
        SpecError: tells the form.
    """
    for alarm in alarms:
        for channel in alarm.notify:
            if not CHANNEL.fullmatch(channel):
                raise SpecError(
                    f"the alarm on {alarm.metric} notifies {channel!r}",
                    why="on Google Cloud notification channels of Cloud Monitoring are told",
                    fix="give a channel's full name, projects/<project>/notificationChannels/<id>, as "
                    "'gcloud beta monitoring channels list' tells it",
                )


def findings(alarms: Iterable[Alarm]) -> Iterator[Finding]:
    """On each alarm."""
    for alarm in alarms:
        yield Finding(
            f"alarms.{alarm.metric}",
            "approximated",
            f"{COUNTS[alarm.metric]}; an alert policy tells people, and rolls no update back",
            "roll back by rollback()",
        )


def has_alarms(labels: Mapping[str, str] | None) -> bool:
    """Whether a function or service with these labels may have alarms."""
    return LABEL.items() <= (labels or {}).items()


def label(deployment: Deployment, before: Mapping[str, str] | None) -> dict[str, str]:
    """What the function or service carries.

    Args:
        before: its labels as they are; None where there is none yet.
    """
    return dict(LABEL) if deployment.alarms or has_alarms(before) else {}


def alert_policies(
    policies: Policies, deployment: Deployment, needs: tuple[str, ...]
) -> tuple[AlertPolicy, ...]:
    """One policy for each alarm."""
    return tuple(_policy(policies, deployment, alarm, needs) for alarm in deployment.alarms)


def stale(policies: Policies, wanted: Collection[str], needs: tuple[str, ...] = ()) -> list[AlertPolicy]:
    """Policies of ours on metrics that aren't in `wanted`."""
    return [
        AlertPolicy(policies, metric, {}, needs)
        for metric in COUNTS
        if metric not in wanted and policies.found(metric)
    ]


def _policy(policies: Policies, deployment: Deployment, alarm: Alarm, needs: tuple[str, ...]) -> AlertPolicy:
    named = AlertPolicy(policies, alarm.metric, {}, needs)
    return AlertPolicy(
        policies,
        alarm.metric,
        {
            "displayName": named.name,
            "combiner": "OR",
            "enabled": True,
            "conditions": [_condition(policies, alarm)],
            "notificationChannels": sorted(set(alarm.notify)),
            "userLabels": {**deployment.tags, **named.labels},
        },
        needs,
    )


def _condition(policies: Policies, alarm: Alarm) -> dict[str, Any]:
    """Each point is one minute; from the first of so many in a row to the last it is one minute less."""
    duration_s = MINUTE_S * (alarm.minutes - 1)
    latency = alarm.metric == "latency_ms"
    threshold: dict[str, Any] = {
        "filter": _filter(policies, alarm),
        "aggregations": [
            {
                "alignmentPeriod": f"{MINUTE_S}s",
                "perSeriesAligner": "ALIGN_DELTA",
                "crossSeriesReducer": "REDUCE_MEAN" if latency else "REDUCE_SUM",
            }
        ],
        "comparison": "COMPARISON_GT",
        "thresholdValue": float(alarm.above),
        "duration": f"{duration_s}s",
        "trigger": {"count": 1},
    }
    if duration_s:
        # Without requests there are no points. The field takes a duration of a minute at least.
        threshold["evaluationMissingData"] = "EVALUATION_MISSING_DATA_INACTIVE"
    return {"displayName": f"{alarm.metric} > {alarm.above:g}", "conditionThreshold": threshold}


def _filter(policies: Policies, alarm: Alarm) -> str:
    gcp = policies.gcp
    parts = [
        'resource.type="cloud_run_revision"',
        f'resource.labels.service_name="{policies.name}"',
        f'resource.labels.location="{gcp.region}"',
        f'resource.labels.project_id="{gcp.project}"',
        f'metric.type="{LATENCIES if alarm.metric == "latency_ms" else COUNT}"',
    ]
    if alarm.metric != "latency_ms":
        parts.append(f'metric.labels.response_code_class="{alarm.metric.removeprefix("errors_")}"')
    return " AND ".join(parts)
