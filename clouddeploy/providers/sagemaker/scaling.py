"""Autoscaling and alarms in SageMaker's terms: which metric, which value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.engine.resource import Resource
from clouddeploy.providers.aws import cron
from clouddeploy.providers.aws.autoscaling import ScalableTarget, ScalingPolicy, ScheduledAction
from clouddeploy.providers.aws.tags import make_tags
from clouddeploy.providers.sagemaker.check import is_serverless, machine
from clouddeploy.providers.sagemaker.instances import instance
from clouddeploy.providers.sagemaker.names import VARIANT
from clouddeploy.providers.sagemaker.site import Site
from clouddeploy.spec import Alarm, Autoscaling, Deployment, Schedule, digest_of

COOLDOWN_S = 300
"""SageMaker's own (Application Auto Scaling User Guide, "Define cooldown periods"), said to be comparable."""
PER_MINUTE = "SageMakerVariantInvocationsPerInstance"
CONCURRENT = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
METRICS = {
    "errors_5xx": ("Invocation5XXErrors", "Sum"),
    "errors_4xx": ("Invocation4XXErrors", "Sum"),
    "latency_ms": ("ModelLatency", "Average"),
}
"""By our name: CloudWatch's, and the statistic (Developer Guide, "CloudWatch metrics for SageMaker AI")."""
US_PER_MS = 1000


def is_scaled(deployment: Deployment) -> bool:
    """Whether autoscaling owns the number of copies."""
    return not is_serverless(deployment) and moves(deployment.autoscaling)


def moves(wish: Autoscaling) -> bool:
    """Whether the number of copies changes by itself."""
    return wish.min < wish.max or bool(wish.schedules)


def scaling(site: Site, deployment: Deployment, endpoint: str) -> tuple[Resource, ...]:
    """Target, policy and schedules; none for a fixed number of copies.

    Args:
        endpoint: key of the endpoint, which must serve before it can be scaled.
    """
    if not is_scaled(deployment):
        return ()
    tags = make_tags(deployment.tags, deployment.name)
    return rules(site, deployment.autoscaling, machine(deployment), tags, (endpoint,))


def rules(
    site: Site, wish: Autoscaling, instance_type: str, tags: Mapping[str, str], needs: tuple[str, ...] = ()
) -> tuple[Resource, ...]:
    """Target, policy and schedules for `wish` on machines of `instance_type`."""
    of = site.dimension
    ranges = tuple((s.min, s.max) for s in wish.schedules)
    target = ScalableTarget(site.aws, site.survey, of, max(1, wish.min), wish.max, ranges, tags, needs=needs)
    rule = tracking_rule(site.name, wish, instance_type)
    name = policy_name(site.name)
    policies = [ScalingPolicy(site.aws, site.survey, of, name, rule, (target.key,))] if rule else []
    actions = [_action(site, schedule, (target.key,)) for schedule in wish.schedules]
    return (target, *policies, *actions)


def policy_name(name: str) -> str:
    """The one policy of a deployment."""
    return f"clouddeploy-{name}"


def _action(site: Site, schedule: Schedule, needs: tuple[str, ...]) -> ScheduledAction:
    when = cron.to_aws(schedule.cron)
    name = f"clouddeploy-{site.name}-{digest_of([when, schedule.timezone])[:8]}"
    limits = (schedule.min, schedule.max)
    return ScheduledAction(
        site.aws, site.survey, site.dimension, name, when, schedule.timezone, *limits, needs
    )


def tracking_rule(name: str, wish: Autoscaling, instance_type: str) -> dict[str, Any] | None:
    """The ``TargetTrackingScalingPolicyConfiguration``; None when no metric is to be held."""
    if wish.requests_per_minute is not None:
        metric, value = _predefined(PER_MINUTE), wish.requests_per_minute
    elif wish.concurrency is not None:
        metric, value = _predefined(CONCURRENT), wish.concurrency
    elif wish.cpu is not None:
        metric, value = _cpu(name), wish.cpu * 100 * (instance(instance_type).vcpus or 1)
    else:
        return None
    out_s, in_s = wish.scale_out_cooldown_s, wish.scale_in_cooldown_s
    return {
        "TargetValue": float(value),
        **metric,
        "ScaleOutCooldown": COOLDOWN_S if out_s is None else out_s,
        "ScaleInCooldown": COOLDOWN_S if in_s is None else in_s,
    }


def _predefined(metric: str) -> dict[str, Any]:
    return {"PredefinedMetricSpecification": {"PredefinedMetricType": metric}}


def _cpu(name: str) -> dict[str, Any]:
    """Each core counts up to 100 %, so that a machine with four of them goes to 400 %."""
    return {
        "CustomizedMetricSpecification": {
            "MetricName": "CPUUtilization",
            "Namespace": "/aws/sagemaker/Endpoints",
            "Dimensions": dimensions(name),
            "Statistic": "Average",
            "Unit": "Percent",
        }
    }


def dimensions(name: str, variant: str = VARIANT) -> list[dict[str, str]]:
    """What CloudWatch's metrics of an endpoint are kept by."""
    return [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": variant}]


def alarm_settings(name: str, alarm: Alarm) -> dict[str, Any]:
    """The parameters of ``PutMetricAlarm`` for one alarm. Latency is in microseconds there."""
    metric, statistic = METRICS[alarm.metric]
    threshold = alarm.above * (US_PER_MS if alarm.metric == "latency_ms" else 1)
    actions = {"AlarmActions": list(alarm.notify)} if alarm.notify else {}
    return {
        "Namespace": "AWS/SageMaker",
        "MetricName": metric,
        "Statistic": statistic,
        "Dimensions": dimensions(name),
        "Period": 60,
        "EvaluationPeriods": alarm.minutes,
        "DatapointsToAlarm": alarm.minutes,
        "Threshold": float(threshold),
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **actions,
    }
