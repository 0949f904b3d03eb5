"""The API of change sets (AWS CloudFormation API Reference)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.cloudformation import answers, wishes
from clouddeploy.emulator.cloudformation.changes import NO_CHANGES, changes, same
from clouddeploy.emulator.cloudformation.operations import begin, check_updatable, invalid
from clouddeploy.emulator.cloudformation.records import ChangeSet, Stack
from clouddeploy.emulator.settings import ACCOUNT

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud


def create(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """CreateChangeSet, computed at once."""
    name, kind = params["ChangeSetName"], params.get("ChangeSetType") or "UPDATE"
    with cloud.stacks.lock:
        stack = cloud.stacks.find(call.region, params["StackName"])
        wish = wishes.read(cloud, params, stack)
        if kind == "CREATE":
            stack = _reviewed(cloud, call, stack, params["StackName"])
        elif stack is None or stack.status == "REVIEW_IN_PROGRESS":
            raise invalid(f"Stack [{params['StackName']}] does not exist")
        else:
            check_updatable(stack)
        if name in stack.change_sets:
            raise Refused(
                f"ChangeSet {name} cannot be created due to a mismatch with existing attribute ChangeSetName",
                code="AlreadyExistsException",
            )
        found = ChangeSet(
            f"arn:aws:cloudformation:{call.region}:{ACCOUNT}:changeSet/{name}/{uuid.uuid4()}",
            name,
            kind,
            wish,
            changes(stack, wish),
            "CREATE_COMPLETE",
            description=params.get("Description") or "",
        )
        if same(stack, wish):
            found.status, found.execution, found.reason = "FAILED", "UNAVAILABLE", NO_CHANGES
        stack.change_sets[name] = found
    return {"Id": found.identity, "StackId": stack.identity}


def _reviewed(cloud: Cloud, call: Call, stack: Stack | None, name: str) -> Stack:
    if stack is None:
        return cloud.stacks.add(call.region, name)
    if stack.status != "REVIEW_IN_PROGRESS":
        raise invalid(
            f"Stack [{name}] already exists and cannot be created again with the changeSet [CREATE]"
        )
    return stack


def describe(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """DescribeChangeSet."""
    stack, found = _find(cloud, call, params)
    return answers.change_set(stack, found)


def listing(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """ListChangeSets."""
    stack = cloud.stacks.get(call.region, params["StackName"])
    return {"Summaries": [answers.change_set(stack, one) for one in stack.change_sets.values()]}


def execute(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """ExecuteChangeSet: the stack's change sets are gone with it."""
    with cloud.stacks.lock:
        stack, found = _find(cloud, call, params)
        if found.execution != "AVAILABLE":
            raise Refused(
                f"ChangeSet [{found.identity}] cannot be executed in its current status of [{found.status}]",
                code="InvalidChangeSetStatus",
            )
        if found.kind != "CREATE":
            check_updatable(stack)
        stack.change_sets.clear()
        begin(cloud, stack, found.wish, "CREATE" if found.kind == "CREATE" else "UPDATE")
    return {}


def delete(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """DeleteChangeSet; one that isn't there is fine."""
    name = params["ChangeSetName"]
    for stack in cloud.stacks:
        if stack.region == call.region:
            for one in list(stack.change_sets.values()):
                stacked = params.get("StackName") in (stack.name, stack.identity)
                if one.identity == name or (one.name == name and stacked):
                    del stack.change_sets[one.name]
    return {}


def _find(cloud: Cloud, call: Call, params: dict[str, Any]) -> tuple[Stack, ChangeSet]:
    name = params["ChangeSetName"]
    wanted = params.get("StackName")
    stacks = [cloud.stacks.get(call.region, wanted)] if wanted else list(cloud.stacks)
    for stack in stacks:
        for one in stack.change_sets.values():
            if name in (one.name, one.identity):
                return stack, one
    raise Refused(f"ChangeSet [{name}] does not exist", code="ChangeSetNotFound", status=404)
