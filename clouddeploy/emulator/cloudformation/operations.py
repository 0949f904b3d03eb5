"""The API of stacks (AWS CloudFormation API Reference); change sets are in `changesets`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.cloudformation import answers, query, wishes
from clouddeploy.emulator.cloudformation.changes import NO_UPDATES, same
from clouddeploy.emulator.cloudformation.kinds.kind import Site
from clouddeploy.emulator.cloudformation.records import Stack, Wish
from clouddeploy.emulator.cloudformation.work import Work
from clouddeploy.emulator.http.message import Response

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

Operation = Callable[["Cloud", Call, dict[str, Any]], Mapping[str, Any]]
# "Stack status codes", User Guide: what an update may start from.
UPDATABLE = frozenset({
    "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE", "CREATE_FAILED", "UPDATE_FAILED",
})  # fmt: skip
EVENTS_PAGE = 100


def begin(cloud: Cloud, stack: Stack, wish: Wish, verb: str) -> None:
    """Start to make `stack` what `wish` says."""
    stack.mark(f"{verb}_IN_PROGRESS", "User Initiated")
    work = Work(cloud.stacks, stack, site(cloud, stack))
    cloud.spawn(work.apply, wish, verb)


def site(cloud: Cloud, stack: Stack) -> Site:
    """Where the stack's resources are made."""
    return Site(stack.region, stack.name, functools.partial(cloud.clients.get, stack.region))


def create(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """CreateStack."""
    name = params["StackName"]
    wish = wishes.read(cloud, params, None)
    with cloud.stacks.lock:
        if cloud.stacks.find(call.region, name) is not None:
            raise Refused(f"Stack [{name}] already exists", code="AlreadyExistsException")
        stack = cloud.stacks.add(call.region, name)
        stack.protected = bool(params.get("EnableTerminationProtection"))
        begin(cloud, stack, wish, "CREATE")
    return {"StackId": stack.identity}


def update(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """UpdateStack."""
    with cloud.stacks.lock:
        stack = cloud.stacks.get(call.region, params["StackName"], "Stack [{}] does not exist")
        check_updatable(stack)
        wish = wishes.read(cloud, params, stack)
        if same(stack, wish):
            raise invalid(NO_UPDATES)
        begin(cloud, stack, wish, "UPDATE")
    return {"StackId": stack.identity}


def check_updatable(stack: Stack) -> None:
    """Refuse to change a stack that is busy, or that failed to be made."""
    if stack.status not in UPDATABLE:
        raise invalid(f"Stack:{stack.identity} is in {stack.status} state and can not be updated.")


def delete(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """DeleteStack; one that isn't there is fine."""
    with cloud.stacks.lock:
        stack = cloud.stacks.find(call.region, params["StackName"])
        if stack is None or stack.status in ("DELETE_COMPLETE", "DELETE_IN_PROGRESS"):
            return {}
        if stack.busy:
            raise invalid(f"Stack [{stack.identity}] cannot be deleted while in status {stack.status}")
        if stack.protected:
            raise invalid(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
        _check_imports(cloud, stack)
        stack.mark("DELETE_IN_PROGRESS", "User Initiated")
        work = Work(cloud.stacks, stack, site(cloud, stack))
        cloud.spawn(work.delete, frozenset(params.get("RetainResources") or ()))
    return {}


def _check_imports(cloud: Cloud, stack: Stack) -> None:
    own = {output.export for output in stack.outputs if output.export}
    for other in cloud.stacks:
        used = own & other.imports if other.status != "DELETE_COMPLETE" else frozenset()
        if used and other is not stack:
            raise invalid(f"Export {min(used)} cannot be deleted as it is in use by {other.name}")


def describe(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """DescribeStacks: one by name or id, or all living ones."""
    if name := params.get("StackName"):
        return {"Stacks": [answers.stack(cloud.stacks.get(call.region, name))]}
    living = [s for s in cloud.stacks if s.region == call.region and s.status != "DELETE_COMPLETE"]
    return {"Stacks": [answers.stack(stack) for stack in living]}


def listing(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """ListStacks, deleted ones among them."""
    wanted = frozenset(params.get("StackStatusFilter") or ())
    found = [s for s in cloud.stacks if s.region == call.region and (not wanted or s.status in wanted)]
    return {"StackSummaries": [answers.summary(stack) for stack in reversed(found)]}


def events(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """DescribeStackEvents, newest first."""
    stack = cloud.stacks.get(call.region, params["StackName"], "Stack [{}] does not exist")
    found = list(reversed(stack.events))
    start = int(params.get("NextToken") or 0)
    more = start + EVENTS_PAGE < len(found)
    page = [answers.event(stack, one) for one in found[start : start + EVENTS_PAGE]]
    return {"StackEvents": page, "NextToken": str(start + EVENTS_PAGE) if more else None}


def resources(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """DescribeStackResources: a stack's, or those of the stack that has a physical id."""
    logical, physical = params.get("LogicalResourceId"), params.get("PhysicalResourceId")
    if name := params.get("StackName"):
        stack = cloud.stacks.get(call.region, name)
    else:
        owners = [s for s in cloud.stacks if any(p.physical_id == physical for p in s.parts.values())]
        if not owners or not physical:
            raise invalid(f"Stack for {physical} does not exist")
        stack, physical = owners[-1], None
    parts = [
        answers.part(stack, p)
        for p in stack.parts.values()
        if logical in (None, p.logical_id) and physical in (None, p.physical_id)
    ]
    return {"StackResources": parts}


def resource(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """DescribeStackResource."""
    name = params["StackName"]
    stack = cloud.stacks.get(call.region, name, "Stack '{}' does not exist")
    part = stack.parts.get(params["LogicalResourceId"])
    if part is None:
        raise invalid(f"Resource {params['LogicalResourceId']} does not exist for stack {name}")
    return {"StackResourceDetail": answers.part(stack, part)}


def list_resources(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """ListStackResources."""
    stack = cloud.stacks.get(call.region, params["StackName"])
    return {"StackResourceSummaries": [answers.part(stack, part) for part in stack.parts.values()]}


def template(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """GetTemplate, as it was submitted."""
    stack = cloud.stacks.get(call.region, params["StackName"])
    text = stack.wish.template.text if stack.wish is not None else ""
    return {"TemplateBody": text, "StagesAvailable": ["Original", "Processed"]}


def validate(cloud: Cloud, _: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """ValidateTemplate: syntax and structure only."""
    found = wishes.template_in(cloud, params, None)
    iam = sorted(r["Type"] for r in found.resources.values() if r["Type"] in wishes.NAMED)
    return {
        "Description": found.content.get("Description"),
        "Parameters": [
            {
                "ParameterKey": name,
                "DefaultValue": declared.get("Default"),
                "NoEcho": str(declared.get("NoEcho")).lower() == "true",
                "Description": declared.get("Description"),
            }
            for name, declared in found.parameters.items()
        ],
        "Capabilities": ["CAPABILITY_NAMED_IAM"] if iam else [],
        "CapabilitiesReason": f"The following resource(s) require capabilities: {iam}" if iam else None,
    }


def exports(cloud: Cloud, call: Call, _: dict[str, Any]) -> Mapping[str, Any]:
    """ListExports."""
    found = sorted(cloud.stacks.exports(call.region).items())
    return {
        "Exports": [{"Name": k, "Value": v, "ExportingStackId": stack.identity} for k, (stack, v) in found]
    }


def set_policy(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """SetStackPolicy: kept, not obeyed."""
    stack = cloud.stacks.get(call.region, params["StackName"])
    stack.policy = str(params.get("StackPolicyBody") or "")
    return {}


def get_policy(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """GetStackPolicy."""
    return {"StackPolicyBody": cloud.stacks.get(call.region, params["StackName"]).policy or None}


def protect(cloud: Cloud, call: Call, params: dict[str, Any]) -> Mapping[str, Any]:
    """UpdateTerminationProtection."""
    stack = cloud.stacks.get(call.region, params["StackName"])
    stack.protected = bool(params["EnableTerminationProtection"])
    return {"StackId": stack.identity}


def invalid(message: str) -> Refused:
    """A refusal as CloudFormation says most of them."""
    return Refused(message, code="ValidationError")


def answering(operation: Operation) -> Callable[[Cloud, Call], Response]:
    """`operation` between the Query protocol's two ends."""

    def answer(cloud: Cloud, call: Call) -> Response:
        return query.answer(call.operation, operation(cloud, call, query.parameters(call)))

    return answer
