"""CloudWatch alarms: watch a metric, tell people, and make a running update roll back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.errors import NameConflict
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.survey import Survey

SETTINGS = [
    "Namespace",
    "MetricName",
    "Statistic",
    "Dimensions",
    "Period",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "AlarmActions",
]


@dataclass(frozen=True)
class MetricAlarm:
    """One alarm.

    Args:
        aws: the seam.
        survey: tells whether anything of the deployment exists at all.
        name: the alarm's name.
        deployment: whose it is; told in its description, which a read brings along.
        settings: parameters of ``PutMetricAlarm``, as in `SETTINGS`.
        tags: all its tags.
        needs: keys of what must exist before.
        watches: what it watches, in its description.
    """

    aws: Aws
    survey: Survey
    name: str
    deployment: str
    settings: Mapping[str, Any]
    tags: Mapping[str, str]
    needs: tuple[str, ...] = ()
    watches: str = "deployment"
    kind: ClassVar[str] = "alarm"
    immutable: ClassVar[frozenset[str]] = frozenset()

    @property
    def key(self) -> str:
        """``alarm/<name>``."""
        return f"alarm/{self.name}"

    @property
    def removal(self) -> str:
        """Removes it."""
        return f"aws cloudwatch delete-alarms --alarm-names {self.name}"

    @property
    def description(self) -> str:
        """The mark by which it is known as ours."""
        return describe(self.deployment, self.watches)

    def desired(self) -> State:
        """Its settings."""
        return {"settings": dict(self.settings)}

    def read(self) -> State | None:
        """As it is.

        Raises:
            NameConflict: an alarm of that name isn't this deployment's.
        """
        if self.survey.fresh:
            return None
        listed = self.aws("cloudwatch", "DescribeAlarms", AlarmNames=[self.name])
        found = next(iter(listed.get("MetricAlarms", ())), None)
        if found is None:
            return None
        if found.get("AlarmDescription") != self.description:
            raise NameConflict(
                f"alarm {self.name!r} exists and isn't this deployment's",
                why=f"its description isn't {self.description!r}",
                fix=f"remove it ({self.removal}), or deploy under another name",
            )
        return {"settings": {k: found[k] for k in SETTINGS if found.get(k) not in (None, [])}}

    def create(self, wish: State) -> None:
        """Put it; that it is there already is success."""
        self.survey.spend()
        self.aws(
            "cloudwatch",
            "PutMetricAlarm",
            AlarmName=self.name,
            AlarmDescription=self.description,
            Tags=tags.as_list(self.tags),
            **wish["settings"],
        )

    def update(self, actual: State, wish: State) -> None:
        """Put it anew."""
        self.create(wish)

    def delete(self) -> None:
        """Remove it."""
        self.aws.find("cloudwatch", "DeleteAlarms", {"ResourceNotFound"}, AlarmNames=[self.name])


def describe(deployment: str, watches: str = "deployment") -> str:
    """The description of an alarm of `deployment`; `watches` tells targets apart."""
    return f"clouddeploy: watches {watches} {deployment}"
