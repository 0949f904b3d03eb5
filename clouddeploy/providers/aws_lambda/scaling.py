"""Autoscaling and alarms in Lambda's terms.

Lambda starts a copy for each request that finds none free, by itself; what can be scaled is how many
are kept running beforehand (Developer Guide, "Configuring provisioned concurrency for a function").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.engine.resource import Resource
from clouddeploy.providers.aws import cron
from clouddeploy.providers.aws.autoscaling import ScalableTarget, ScalingPolicy, ScheduledAction
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.provisioned import ProvisionedConcurrency
from clouddeploy.providers.aws_lambda.site import Site
from clouddeploy.spec import Alarm, Autoscaling, Schedule, digest_of

UTILIZATION = 0.7
"""Held when the range is to be used and no target is given."""
METRIC = "LambdaProvisionedConcurrencyUtilization"
OWN_NAMESPACE = "CLOUDDEPLOY"
"""Where our entry counts, by CloudWatch's embedded metric format, what Lambda doesn't."""
METRICS = {
    "errors_4xx": (OWN_NAMESPACE, "Refusals", "Sum"),
    "errors_5xx": ("AWS/Lambda", "Errors", "Sum"),
    "latency_ms": ("AWS/Lambda", "Duration", "Average"),
}
"""By our name: CloudWatch's, and the statistic (Developer Guide, "Types of metrics for Lambda functions")."""


def kept_running(wish: Autoscaling) -> int:
    """Copies that are kept running; 0 for a function that starts every copy on demand.

    A single copy, which is what `Autoscaling` says by itself, is not kept running unless asked for by
    more than that.
    """
    asked = (
        wish.utilization is not None or bool(wish.schedules) or wish.min > 1 or wish.max > max(1, wish.min)
    )
    return wish.min if asked else 0


def is_scaled(wish: Autoscaling) -> bool:
    """Whether autoscaling owns the number of copies that are kept running."""
    return bool(wish.schedules) or (wish.min < wish.max and kept_running(wish) > 0)


def provisioning(
    site: Site, wish: Autoscaling, tags: Mapping[str, str], needs: tuple[str, ...] = ()
) -> tuple[Resource, ...]:
    """Copies kept running, their range, its policy and schedules; none on demand.

    Args:
        tags: all tags of the scalable target.
        needs: keys of what must be there before.
    """
    count, scaled = kept_running(wish), is_scaled(wish)
    lows = [wish.min, *(s.min for s in wish.schedules if s.min is not None)]
    highs = [wish.max, *(s.max for s in wish.schedules if s.max is not None)]
    least, most = (min(lows), max(highs)) if scaled else (count, count)
    kept = (ProvisionedConcurrency(site, count, most, least, needs),) if count else ()
    if not scaled:
        return kept
    ranges = tuple((s.min, s.max) for s in wish.schedules)
    needs = tuple(r.key for r in kept) or needs
    of = site.dimension
    target = ScalableTarget(site.aws, site.survey, of, wish.min, wish.max, ranges, tags, needs)
    rule = tracking_rule(wish)
    name = names.policy(site.name)
    policies = [ScalingPolicy(site.aws, site.survey, of, name, rule, (target.key,))] if rule else []
    actions = [_action(site, schedule, (target.key,)) for schedule in wish.schedules]
    return (*kept, target, *policies, *actions)


def tracking_rule(wish: Autoscaling) -> dict[str, Any] | None:
    """The ``TargetTrackingScalingPolicyConfiguration``; None when schedules alone change the number."""
    if wish.utilization is None and wish.min >= wish.max:
        return None
    cooldowns = {"ScaleOutCooldown": wish.scale_out_cooldown_s, "ScaleInCooldown": wish.scale_in_cooldown_s}
    return {
        "TargetValue": float(wish.utilization or UTILIZATION),
        "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
        **{k: v for k, v in cooldowns.items() if v is not None},
    }


def _action(site: Site, schedule: Schedule, needs: tuple[str, ...]) -> ScheduledAction:
    when = cron.to_aws(schedule.cron)
    name = f"{names.policy(site.name)}-{digest_of([when, schedule.timezone])[:8]}"
    limits = (schedule.min, schedule.max)
    return ScheduledAction(
        site.aws, site.survey, site.dimension, name, when, schedule.timezone, *limits, needs
    )


def dimensions(name: str) -> list[dict[str, str]]:
    """What CloudWatch's metrics of the alias are kept by."""
    return [
        {"Name": "FunctionName", "Value": name},
        {"Name": "Resource", "Value": f"{name}:{names.ALIAS}"},
    ]


def own_dimensions(name: str) -> list[dict[str, str]]:
    """What the metrics of our entry are kept by."""
    return [{"Name": "FunctionName", "Value": name}]


def alarm_settings(name: str, alarm: Alarm) -> dict[str, Any]:
    """The parameters of ``PutMetricAlarm`` for one alarm."""
    namespace, metric, statistic = METRICS[alarm.metric]
    actions = {"AlarmActions": list(alarm.notify)} if alarm.notify else {}
    return {
        "Namespace": namespace,
        "MetricName": metric,
        "Statistic": statistic,
        "Dimensions": own_dimensions(name) if namespace == OWN_NAMESPACE else dimensions(name),
        "Period": 60,
        "EvaluationPeriods": alarm.minutes,
        "DatapointsToAlarm": alarm.minutes,
        "Threshold": float(alarm.above),
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **actions,
    }
