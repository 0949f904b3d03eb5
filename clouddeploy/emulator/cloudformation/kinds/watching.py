"""AWS::Logs::LogGroup and AWS::CloudWatch::Alarm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.cloudformation.kinds.kind import Kind, Site, changed, pairs
from clouddeploy.emulator.cloudformation.records import Part
from clouddeploy.emulator.settings import ACCOUNT


class LogGroup(Kind):
    """``AWS::Logs::LogGroup``: Ref is the name; attribute ``Arn`` ends in ``:*``."""

    known = ("KmsKeyId", "LogGroupName", "RetentionInDays", "Tags")
    replaced_by = ("LogGroupName",)

    def create(self, site: Site, part: Part) -> None:
        """CreateLogGroup, PutRetentionPolicy."""
        name = str(part.properties.get("LogGroupName") or site.name(part))
        tags = {"tags": pairs(part.properties["Tags"])} if part.properties.get("Tags") else {}
        key = {"kmsKeyId": part.properties["KmsKeyId"]} if part.properties.get("KmsKeyId") else {}
        site.call("logs", "CreateLogGroup", logGroupName=name, **tags, **key)
        part.physical_id = name
        part.attributes = {"Arn": f"arn:aws:logs:{site.region}:{ACCOUNT}:log-group:{name}:*"}
        self.update(site, part, {})

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """PutRetentionPolicy, or DeleteRetentionPolicy."""
        if not changed(part, before, "RetentionInDays"):
            return
        days = part.properties.get("RetentionInDays")
        name = part.physical_id
        if days is None:
            site.call("logs", "DeleteRetentionPolicy", logGroupName=name)
        else:
            site.call("logs", "PutRetentionPolicy", logGroupName=name, retentionInDays=int(days))

    def delete(self, site: Site, part: Part) -> None:
        """DeleteLogGroup."""
        site.drop("logs", "DeleteLogGroup", logGroupName=part.physical_id)


class Alarm(Kind):
    """``AWS::CloudWatch::Alarm``: Ref is the name; attribute ``Arn``."""

    known = (
        "ActionsEnabled", "AlarmActions", "AlarmDescription", "AlarmName", "ComparisonOperator",
        "DatapointsToAlarm", "Dimensions", "EvaluateLowSampleCountPercentile", "EvaluationPeriods",
        "ExtendedStatistic", "InsufficientDataActions", "MetricName", "Metrics", "Namespace", "OKActions",
        "Period", "Statistic", "Tags", "Threshold", "ThresholdMetricId", "TreatMissingData", "Unit",
    )  # fmt: skip
    replaced_by = ("AlarmName",)

    def create(self, site: Site, part: Part) -> None:
        """PutMetricAlarm."""
        part.physical_id = str(part.properties.get("AlarmName") or site.name(part))
        arn = f"arn:aws:cloudwatch:{site.region}:{ACCOUNT}:alarm:{part.physical_id}"
        part.attributes = {"Arn": arn}
        self.update(site, part, {})

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """PutMetricAlarm writes all of it anew."""
        wish = {**part.properties, "AlarmName": part.physical_id}
        site.call("cloudwatch", "PutMetricAlarm", **site.fitting("cloudwatch", "PutMetricAlarm", wish))

    def delete(self, site: Site, part: Part) -> None:
        """DeleteAlarms."""
        site.drop("cloudwatch", "DeleteAlarms", AlarmNames=[part.physical_id])
