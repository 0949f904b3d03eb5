"""Stacks are made, changed, rolled back and removed as CloudFormation does.

AWS CloudFormation User Guide: "Stack status codes", "Update behaviors of stack resources", "Understand stack
creation events"; API Reference for each call's refusals.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.cloudformation.conftest import Clerk, group, output, wish
from tests.emulator.conftest import Rig, refused

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
# The role stands when attaching the policy fails.
FAILING = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": TRUST,
        "ManagedPolicyArns": ["arn:aws:iam::123456789012:policy/no-such-policy"],
    },
}


def groups(rig: Rig, prefix: str) -> list[str]:
    """The names of the log groups that start so."""
    found = rig.logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    return [g["logGroupName"] for g in found]


def test_resources_are_made_after_what_they_need_and_removed_before_it(clerk: Clerk, rig: Rig) -> None:
    resources = {
        "A": {**group(), "DependsOn": "B"},
        "B": group(LogGroupName={"Fn::Sub": "${AWS::StackName}-b-${C}"}),
        "C": group(),
    }
    name = clerk.make(resources)
    expected = [("-", "CREATE_IN_PROGRESS")]
    expected += [(x, f"CREATE_{status}") for x in "CBA" for status in ("IN_PROGRESS", "COMPLETE")]
    assert clerk.history(name) == [*expected, ("-", "CREATE_COMPLETE")]
    assert clerk.parts(name)["B"] == f"{name}-b-{clerk.parts(name)['C']}"
    identity = clerk.stack(name)["StackId"]
    assert clerk.remove(name) == "DELETE_COMPLETE"
    gone = [x for x, status in clerk.history(identity) if status == "DELETE_COMPLETE"]
    assert gone == ["A", "B", "C", "-"]
    assert groups(rig, name) == []


def test_a_deleted_stack_is_found_by_its_id_alone(clerk: Clerk) -> None:
    name = clerk.make()
    identity = clerk.stack(name)["StackId"]
    clerk.remove(name)
    found = refused(clerk.api.describe_stacks, StackName=name)
    assert (found.code, found.message) == ("ValidationError", f"Stack with id {name} does not exist")
    assert clerk.stack(identity)["StackStatus"] == "DELETE_COMPLETE"
    assert name not in [s["StackName"] for s in clerk.api.describe_stacks()["Stacks"]]
    listed = clerk.api.list_stacks(StackStatusFilter=["DELETE_COMPLETE"])["StackSummaries"]
    assert name in [s["StackName"] for s in listed]
    clerk.api.delete_stack(StackName=name)  # deleting what is gone succeeds


def test_a_failed_creation_is_rolled_back_and_can_only_be_deleted(clerk: Clerk, rig: Rig) -> None:
    name = clerk.make({"Good": group(), "Bad": {**FAILING, "DependsOn": "Good"}})
    assert clerk.stack(name)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "failed to create: [Bad]" in clerk.reasons(name)
    assert groups(rig, name) == []
    assert [r for r in rig.iam.list_roles()["Roles"] if r["RoleName"].startswith(name)] == []
    assert (
        "ROLLBACK_COMPLETE state and can not be updated"
        in refused(clerk.api.update_stack, StackName=name, **wish()).message
    )
    assert clerk.remove(name) == "DELETE_COMPLETE"


def test_rollback_can_be_switched_off(clerk: Clerk) -> None:
    name = clerk.make({"Good": group(), "Bad": {**FAILING, "DependsOn": "Good"}}, DisableRollback=True)
    assert clerk.stack(name)["StackStatus"] == "CREATE_FAILED"
    assert clerk.parts(name)["Good"]
    assert clerk.remove(name) == "DELETE_COMPLETE"


def test_an_update_changes_what_differs_and_keeps_the_rest(clerk: Clerk, rig: Rig) -> None:
    name = clerk.make({"A": group(RetentionInDays=7), "B": group()}, Outputs={"A": output({"Ref": "A"})})
    before = clerk.parts(name)
    assert clerk.change(name, {"A": group(RetentionInDays=14), "B": group()}) == "UPDATE_COMPLETE"
    assert clerk.parts(name) == before
    assert clerk.outputs(name) == {}
    found = rig.logs.describe_log_groups(logGroupNamePrefix=before["A"])["logGroups"][0]
    assert found["retentionInDays"] == 14
    assert [x for x, status in clerk.history(name) if status == "UPDATE_COMPLETE"] == ["A", "-"]


def test_a_property_that_can_not_change_replaces_the_resource_and_what_refers_to_it(
    clerk: Clerk, rig: Rig
) -> None:
    """The new one is made first, the old one goes when the update has succeeded."""

    def wanted(stem: str) -> dict[str, Any]:
        return {
            "A": group(LogGroupName={"Fn::Sub": f"${{AWS::StackName}}-{stem}"}),
            "B": group(LogGroupName={"Fn::Sub": "${A}-b"}),
        }

    name = clerk.make(wanted("x"))
    assert clerk.change(name, wanted("y"), Outputs={"B": output({"Ref": "B"})}) == "UPDATE_COMPLETE"
    assert groups(rig, name) == [f"{name}-y", f"{name}-y-b"]
    assert clerk.outputs(name) == {"B": f"{name}-y-b"}
    end = clerk.history(name)[-6:]
    assert end == [
        ("-", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
        ("B", "DELETE_IN_PROGRESS"), ("B", "DELETE_COMPLETE"),
        ("A", "DELETE_IN_PROGRESS"), ("A", "DELETE_COMPLETE"),
        ("-", "UPDATE_COMPLETE"),
    ]  # fmt: skip


def test_what_a_template_no_longer_holds_is_removed_unless_it_is_retained(clerk: Clerk, rig: Rig) -> None:
    kept = {**group(), "DeletionPolicy": "Retain"}
    name = clerk.make({"A": group(), "B": group(), "C": kept})
    before = clerk.parts(name)
    clerk.change(name, {"A": group()})
    assert sorted(groups(rig, name)) == sorted([before["A"], before["C"]])
    assert ("C", "DELETE_SKIPPED") in clerk.history(name)
    rig.logs.delete_log_group(logGroupName=before["C"])


def test_a_failed_update_puts_everything_back(clerk: Clerk, rig: Rig) -> None:
    before = {
        "A": group(RetentionInDays=7),
        "Old": group(),
        "R": group(LogGroupName={"Fn::Sub": "${AWS::StackName}-r"}),
    }
    name = clerk.make(before, Outputs={"A": output("one")})
    parts = clerk.parts(name)
    after = {
        "A": group(RetentionInDays=14),
        "New": group(),
        "R": group(LogGroupName={"Fn::Sub": "${AWS::StackName}-s"}),
        "Bad": {**FAILING, "DependsOn": ["A", "New", "R"]},
    }
    assert clerk.change(name, after, Outputs={"A": output("two")}) == "UPDATE_ROLLBACK_COMPLETE"
    assert clerk.parts(name) == parts
    assert sorted(groups(rig, name)) == sorted(parts.values())
    found = rig.logs.describe_log_groups(logGroupNamePrefix=parts["A"])["logGroups"][0]
    assert found["retentionInDays"] == 7
    assert clerk.outputs(name) == {"A": "one"}
    assert clerk.change(name, {**before, "A": group(RetentionInDays=30)}) == "UPDATE_COMPLETE"


def test_a_value_that_a_service_refuses_is_the_reason(clerk: Clerk) -> None:
    name = clerk.make({"Bad": FAILING})
    assert 'Resource handler returned message: "' in clerk.reasons(name)
    assert "NoSuchEntity" in clerk.reasons(name)


def test_a_type_that_nobody_knows_is_refused_by_name(clerk: Clerk, rig: Rig) -> None:
    more = wish({"A": {"Type": "AWS::Nothing::AtAll"}})
    found = refused(clerk.api.create_stack, StackName=rig.fresh(), **more)
    assert "Unrecognized resource types: [AWS::Nothing::AtAll]" in found.message


def test_types_without_an_entry_here_are_made_by_moto(clerk: Clerk, rig: Rig) -> None:
    resources = {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 7}}}
    name = clerk.make(resources, Outputs={"Arn": output({"Fn::GetAtt": ["Queue", "Arn"]})})
    assert clerk.stack(name)["StackStatus"] == "CREATE_COMPLETE", clerk.reasons(name)
    sqs = rig.client("sqs")
    url = sqs.list_queues(QueueNamePrefix=name)["QueueUrls"][0]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (found["QueueArn"], found["VisibilityTimeout"]) == (clerk.outputs(name)["Arn"], "7")
    clerk.change(name, {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 8}}})
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert found["VisibilityTimeout"] == "8"
    assert clerk.remove(name) == "DELETE_COMPLETE"
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix=name)


def test_what_the_embedded_cloud_leaves_out_of_a_resource_is_told(clerk: Clerk) -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"LifecycleConfiguration": {"Rules": []}}}
    name = clerk.make({"B": bucket})
    assert clerk.stack(name)["StackStatus"] == "CREATE_COMPLETE"
    assert "The embedded cloud leaves out: LifecycleConfiguration" in clerk.reasons(name)
    clerk.remove(name)


def test_an_export_can_be_imported_and_is_then_held(clerk: Clerk, rig: Rig) -> None:
    export = rig.fresh("export")
    owner = clerk.make(Outputs={"O": output({"Ref": "Group"}, export)})
    user = clerk.make({"Group": group(LogGroupName={"Fn::Join": ["-", [{"Fn::ImportValue": export}, "x"]]})})
    assert clerk.parts(user)["Group"] == f"{clerk.parts(owner)['Group']}-x"
    exports = {e["Name"]: e["Value"] for e in clerk.api.list_exports()["Exports"]}
    assert exports[export] == clerk.parts(owner)["Group"]
    assert f"in use by {user}" in refused(clerk.api.delete_stack, StackName=owner).message
    second = clerk.make(Outputs={"O": output("x", export)})
    assert clerk.stack(second)["StackStatus"] == "ROLLBACK_COMPLETE"
    clerk.remove(user)
    assert clerk.remove(owner) == "DELETE_COMPLETE"


@pytest.mark.parametrize(
    ("operation", "more", "message"),
    [
        ("describe_stacks", {}, "Stack with id no-such does not exist"),
        ("describe_stack_events", {}, "Stack [no-such] does not exist"),
        ("describe_stack_resource", {"LogicalResourceId": "A"}, "Stack 'no-such' does not exist"),
        ("list_stack_resources", {}, "Stack with id no-such does not exist"),
        ("get_template", {}, "Stack with id no-such does not exist"),
        ("update_stack", wish(), "Stack [no-such] does not exist"),
    ],
)
def test_a_stack_that_is_not_there_is_told_by_name(
    clerk: Clerk, operation: str, more: dict[str, Any], message: str
) -> None:
    found = refused(getattr(clerk.api, operation), StackName="no-such", **more)
    assert (found.code, found.message, found.status) == ("ValidationError", message, 400)


def test_a_second_stack_of_a_name_and_an_update_without_changes_are_refused(clerk: Clerk) -> None:
    name = clerk.make()
    assert refused(clerk.api.create_stack, StackName=name, **wish()).code == "AlreadyExistsException"
    found = refused(clerk.api.update_stack, StackName=name, **wish())
    assert found.message == "No updates are to be performed."


def test_a_protected_stack_is_not_deleted(clerk: Clerk) -> None:
    name = clerk.make(EnableTerminationProtection=True)
    assert "TerminationProtection is enabled" in refused(clerk.api.delete_stack, StackName=name).message
    clerk.api.update_termination_protection(StackName=name, EnableTerminationProtection=False)
    assert clerk.remove(name) == "DELETE_COMPLETE"


def test_a_bucket_that_is_not_empty_fails_the_deletion_until_it_is(clerk: Clerk, rig: Rig) -> None:
    """ "Delete stack fails", Troubleshooting CloudFormation."""
    name = clerk.make({"B": {"Type": "AWS::S3::Bucket"}, "G": group()})
    bucket = clerk.parts(name)["B"]
    rig.s3.put_object(Bucket=bucket, Key="x", Body=b"x")
    assert clerk.remove(name) == "DELETE_FAILED"
    assert "failed to delete: [B]" in clerk.stack(name)["StackStatusReason"]
    rig.s3.delete_object(Bucket=bucket, Key="x")
    assert clerk.remove(name) == "DELETE_COMPLETE"


def test_template_policy_and_tags_are_kept_as_given(clerk: Clerk) -> None:
    name = clerk.make(Tags=[{"Key": "a", "Value": "b"}])
    assert clerk.stack(name)["Tags"] == [{"Key": "a", "Value": "b"}]
    assert clerk.api.get_template(StackName=name)["TemplateBody"]["Resources"] == {"Group": group()}
    clerk.api.set_stack_policy(StackName=name, StackPolicyBody='{"Statement":[]}')
    assert clerk.api.get_stack_policy(StackName=name)["StackPolicyBody"] == '{"Statement":[]}'
    found = clerk.api.describe_stack_resource(StackName=name, LogicalResourceId="Group")
    assert found["StackResourceDetail"]["ResourceStatus"] == "CREATE_COMPLETE"
    physical = clerk.parts(name)["Group"]
    owners = clerk.api.describe_stack_resources(PhysicalResourceId=physical)["StackResources"]
    assert {p["StackName"] for p in owners} == {name}
