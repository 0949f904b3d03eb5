"""Role, alarm, scaling and log group, each by itself against the embedded cloud."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from clouddeploy.errors import NameConflict
from clouddeploy.providers.aws.alarms import MetricAlarm
from clouddeploy.providers.aws.autoscaling import Dimension, ScalableTarget
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.logs import LogGroup, last_lines, tail
from clouddeploy.providers.aws.role import Role, trust_policy
from clouddeploy.providers.aws.survey import Survey
from clouddeploy.providers.aws.tags import make_tags
from tests.unit.aws.test_client import aws as scripted
from tests.unit.aws.test_client import refusal

NewSurvey = Callable[[], Survey]
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
}
OTHER_POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}],
}
TRUST = json.dumps(trust_policy("sagemaker.amazonaws.com", "123456789012"))
RANGES = [(1, 4, (1, 4)), (2, 4, (1, 4)), (3, 4, (3, 4)), (1, 9, (1, 4)), (1, 8, (1, 8))]


def spent(survey: NewSurvey) -> Survey:
    found = survey()
    found.spend()
    return found


def role(aws: Aws, survey: Survey) -> Role:
    trust = trust_policy("sagemaker.amazonaws.com", "123456789012")
    return Role(aws, survey, "digits-role", "digits", trust, POLICY, make_tags({"team": "a"}, "digits"))


def test_a_role_is_as_wished_after_create_update_and_a_second_create(aws: Aws, survey: NewSurvey) -> None:
    one = role(aws, spent(survey))
    assert one.read() is None
    one.create(one.desired())
    assert one.read() == one.desired()
    one.create(one.desired())
    other = replace(one, policy=OTHER_POLICY, tags=make_tags({"other": "b"}, "digits"))
    other.update(one.desired(), other.desired())
    assert other.read() == other.desired()
    one.create(one.desired())
    assert one.read() == one.desired()
    one.delete()
    one.delete()
    assert one.read() is None


def test_a_role_with_policies_that_others_attached_is_removed_too(aws: Aws, survey: NewSurvey) -> None:
    one = role(aws, spent(survey))
    one.create(one.desired())
    aws(
        "iam",
        "PutRolePolicy",
        RoleName="digits-role",
        PolicyName="more",
        PolicyDocument=json.dumps(POLICY),
    )
    one.delete()
    assert one.read() is None


def test_a_role_of_somebody_else_is_neither_read_nor_taken_over(aws: Aws, survey: NewSurvey) -> None:
    aws(
        "iam",
        "CreateRole",
        RoleName="digits-role",
        AssumeRolePolicyDocument=TRUST,
    )
    one = role(aws, spent(survey))
    with pytest.raises(NameConflict, match="digits-role"):
        one.read()
    with pytest.raises(NameConflict):
        one.create(one.desired())


def test_where_nothing_lies_in_the_bucket_nothing_is_asked(survey: NewSurvey) -> None:
    seam, transport = scripted({})
    assert role(seam, survey()).read() is None
    assert transport.calls == []


def test_a_range_that_a_schedule_has_set_is_no_drift() -> None:
    of = Dimension("sagemaker", "endpoint/x/variant/main", "sagemaker:variant:DesiredInstanceCount")
    for low, high, expected in (
        (1, 4, (1, 4)),
        (2, 4, (1, 4)),
        (3, 4, (3, 4)),
        (1, 9, (1, 4)),
        (1, 8, (1, 8)),
    ):
        seam, _ = scripted({"ScalableTargets": [{"MinCapacity": low, "MaxCapacity": high}]})
        survey = Survey(seam, "b", "x")
        survey.spend()
        target = ScalableTarget(seam, survey, of, 1, 4, planned=((2, None), (None, 9)))
        found = target.read()
        assert found is not None
        assert (found["min"], found["max"]) == expected


def test_an_alarm_of_somebody_else_is_a_conflict(aws: Aws, survey: NewSurvey) -> None:
    settings = {
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocation5XXErrors",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    alarm = MetricAlarm(aws, spent(survey), "clouddeploy-digits-errors", "digits", settings, {})
    aws("cloudwatch", "PutMetricAlarm", AlarmName=alarm.name, **settings)
    with pytest.raises(NameConflict, match="clouddeploy-digits-errors"):
        alarm.read()
    alarm.create(alarm.desired())
    assert alarm.read() == alarm.desired()
    alarm.delete()
    assert alarm.read() is None


def test_a_log_group_is_read_and_removed(aws: Aws) -> None:
    group = LogGroup(aws, "/aws/sagemaker/Endpoints/digits")
    assert group.read() is None
    aws("logs", "CreateLogGroup", logGroupName=group.name + "-other")
    assert group.read() is None
    group.create(group.desired())
    assert group.read() == group.desired()
    group.delete()
    group.delete()
    assert group.read() is None


def test_the_last_lines_come_in_order_over_all_pages() -> None:
    seam, _ = scripted(
        {"events": [{"timestamp": 3, "message": "c\n"}, {"timestamp": 1, "message": "a"}], "nextToken": "t"},
        {"events": [{"timestamp": 2, "message": "b"}]},
    )
    assert list(tail(seam, "g", since_s=60, limit=10)) == ["a", "b", "c"]


def test_logs_that_may_not_be_read_are_told_in_a_line_and_missing_ones_are_none() -> None:
    seam, _ = scripted(refusal("AccessDeniedException", status=400))
    (line,) = last_lines(seam, "g")
    assert "can't be read" in line
    seam, _ = scripted(refusal("ResourceNotFoundException"))
    assert last_lines(seam, "g") == ()
