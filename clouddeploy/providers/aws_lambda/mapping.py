"""What Lambda makes of each field of the autoscaling policy.

Sources: Lambda Developer Guide, "Understanding Lambda function scaling" and "Configuring provisioned
concurrency for a function"; Application Auto Scaling User Guide, "AWS Lambda and Application Auto Scaling".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clouddeploy.engine.finding import Finding, Mapped
from clouddeploy.providers.aws import cron
from clouddeploy.providers.aws_lambda import scaling
from clouddeploy.spec import Autoscaling

OF_COPIES = ("requests_per_minute", "concurrency", "cpu")
"""Targets that compare copies, each of which serves one request at a time on Lambda."""
ONE_AT_A_TIME = Mapped(
    "impossible", "a copy of a function serves one request at a time, and there is one for each request"
)
AUTOSCALING: Mapping[str, Mapped] = {
    "min": Mapped(
        "approximated",
        "provisioned concurrency of the alias, when min is above 1, or with utilization, schedules or a "
        "larger max; else every copy starts on demand",
    ),
    "max": Mapped(
        "approximated",
        "the most copies that are kept running (MaxCapacity); more requests at once start copies on demand, "
        "up to reserved_concurrency",
    ),
    **dict.fromkeys(OF_COPIES, ONE_AT_A_TIME),
    "utilization": Mapped(
        "exact",
        "target tracking of LambdaProvisionedConcurrencyUtilization; 0.7 where none is given and max is "
        "above min",
    ),
    "scale_out_cooldown_s": Mapped(
        "exact", "ScaleOutCooldown; Application Auto Scaling's own where none is given"
    ),
    "scale_in_cooldown_s": Mapped(
        "exact", "ScaleInCooldown; Application Auto Scaling's own where none is given"
    ),
    "schedules": Mapped("exact", "scheduled actions of Application Auto Scaling on the alias"),
}


def scaling_findings(wish: Autoscaling) -> Iterator[Finding]:
    """What becomes of the values of one policy.

    Raises:
        SpecError: a schedule can't be told in AWS's form.
    """
    for name in OF_COPIES:
        if getattr(wish, name) is not None:
            yield Finding(
                f"autoscaling.{name}",
                "impossible",
                AUTOSCALING[name].how,
                "use utilization, the share of the copies kept running that are in use",
            )
    for schedule in wish.schedules:
        cron.to_aws(schedule.cron)
        cron.check_timezone(schedule.timezone)
    kept, scaled = scaling.kept_running(wish), scaling.is_scaled(wish)
    if not kept and wish.min > 0:
        yield Finding(
            "autoscaling.min",
            "approximated",
            "Lambda starts copies on demand, and the first request after a pause waits for a start",
            "set it to 0 to agree, or give utilization or a min above 1 to keep copies running",
        )
    if kept or scaled:
        yield Finding(
            "autoscaling.max",
            "approximated",
            f"{wish.max} is the most that is kept running; more requests at once start copies on demand",
            "set reserved_concurrency for a hard limit",
        )
    if wish.utilization is not None and not scaled:
        yield Finding(
            "autoscaling.utilization",
            "approximated",
            f"min is {wish.min} and max is {wish.max}, so there is nothing to scale and no policy is made",
            "give min 1 or more, and max a larger value",
        )
    if scaled and wish.min < wish.max and wish.utilization is None:
        yield Finding(
            "autoscaling.utilization",
            "approximated",
            f"none is given, so {scaling.UTILIZATION:g} is held",
            "give utilization to choose",
        )
