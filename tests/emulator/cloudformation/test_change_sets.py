"""Change sets are computed, executed and thrown away (API Reference: CreateChangeSet …)."""

from __future__ import annotations

from typing import Any

from tests.emulator.cloudformation.conftest import Clerk, group, wish
from tests.emulator.conftest import Rig, refused


def prepare(clerk: Clerk, name: str, kind: str, resources: dict[str, Any] | None = None) -> dict[str, Any]:
    """A change set called ``next``, described."""
    clerk.api.create_change_set(StackName=name, ChangeSetName="next", ChangeSetType=kind, **wish(resources))
    found: dict[str, Any] = clerk.api.describe_change_set(StackName=name, ChangeSetName="next")
    return found


def test_a_stack_under_review_is_made_when_its_change_set_is_executed(clerk: Clerk, rig: Rig) -> None:
    name = rig.fresh("stack")
    found = prepare(clerk, name, "CREATE")
    assert (found["Status"], found["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    change = found["Changes"][0]["ResourceChange"]
    assert (change["Action"], change["LogicalResourceId"]) == ("Add", "Group")
    assert clerk.stack(name)["StackStatus"] == "REVIEW_IN_PROGRESS"
    clerk.api.execute_change_set(StackName=name, ChangeSetName="next")
    assert clerk.settled(name) == "CREATE_COMPLETE"
    assert refused(clerk.api.describe_change_set, StackName=name, ChangeSetName="next").code == (
        "ChangeSetNotFound"
    )


def test_changes_tell_what_is_added_replaced_changed_and_removed(clerk: Clerk) -> None:
    name = clerk.make(
        {
            "A": group(),
            "B": group(),
            "C": group(),
            "D": group(),
            "E": group(LogGroupName={"Fn::Sub": "${B}-e"}),
        }
    )
    found = prepare(
        clerk, name, "UPDATE",
        {"A": group(RetentionInDays=7), "B": group(LogGroupName=f"{name}-b"), "C": group(), "F": group(),
         "E": group(LogGroupName={"Fn::Sub": "${B}-e"})},
    )  # fmt: skip
    changes = {c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in found["Changes"]}
    assert {k: (c["Action"], c.get("Replacement")) for k, c in changes.items()} == {
        "A": ("Modify", "False"),
        "B": ("Modify", "True"),
        "D": ("Remove", None),
        "E": ("Modify", "False"),
        "F": ("Add", None),
    }
    clerk.api.execute_change_set(StackName=name, ChangeSetName="next")
    assert clerk.settled(name) == "UPDATE_COMPLETE"
    assert sorted(clerk.parts(name)) == ["A", "B", "C", "E", "F"]


def test_a_change_set_without_changes_fails_and_can_not_be_executed(clerk: Clerk) -> None:
    name = clerk.make()
    found = prepare(clerk, name, "UPDATE")
    assert (found["Status"], found["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert found["StatusReason"].startswith("The submitted information didn't contain changes.")
    call = refused(clerk.api.execute_change_set, StackName=name, ChangeSetName="next")
    assert call.code == "InvalidChangeSetStatus"
    clerk.api.delete_change_set(StackName=name, ChangeSetName="next")
    assert clerk.api.list_change_sets(StackName=name)["Summaries"] == []
    clerk.api.delete_change_set(StackName=name, ChangeSetName="next")  # gone already: fine


def test_a_change_set_for_the_wrong_kind_of_stack_is_refused(clerk: Clerk, rig: Rig) -> None:
    name = clerk.make()
    call = refused(
        clerk.api.create_change_set, StackName=name, ChangeSetName="x", ChangeSetType="CREATE", **wish()
    )
    assert "already exists and cannot be created again" in call.message
    call = refused(clerk.api.create_change_set, StackName=rig.fresh("none"), ChangeSetName="x", **wish())
    assert "does not exist" in call.message
