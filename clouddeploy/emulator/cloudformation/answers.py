"""Stacks as the API shows them (AWS CloudFormation API Reference, "Data Types")."""

from __future__ import annotations

from typing import Any

from clouddeploy.emulator.cloudformation.records import ChangeSet, Event, Part, Stack
from clouddeploy.emulator.cloudformation.template import Template


def stack(record: Stack) -> dict[str, Any]:
    """API data type Stack."""
    wish = record.wish
    return {
        "StackId": record.identity,
        "StackName": record.name,
        "Description": None if wish is None else wish.template.content.get("Description"),
        "Parameters": [] if wish is None else parameters(wish.template, dict(wish.parameters)),
        "CreationTime": record.created,
        "DeletionTime": record.deleted or None,
        "LastUpdatedTime": record.updated or None,
        "DisableRollback": bool(wish and wish.keep_failed),
        "StackStatus": record.status,
        "StackStatusReason": record.reason or None,
        "EnableTerminationProtection": record.protected,
        "Capabilities": [] if wish is None else sorted(wish.capabilities),
        "NotificationARNs": [] if wish is None else list(wish.topics),
        "RoleARN": (wish.role or None) if wish else None,
        "Tags": [] if wish is None else [{"Key": k, "Value": v} for k, v in wish.tags],
        "Outputs": [
            {
                "OutputKey": output.key,
                "OutputValue": output.value,
                "Description": output.description or None,
                "ExportName": output.export or None,
            }
            for output in record.outputs
        ],
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }


def parameters(template: Template, values: dict[str, str]) -> list[dict[str, str]]:
    """API data type Parameter, of each; secret ones are covered."""
    hidden = {k for k, p in template.parameters.items() if str(p.get("NoEcho")).lower() == "true"}
    return [{"ParameterKey": k, "ParameterValue": "****" if k in hidden else v} for k, v in values.items()]


def summary(record: Stack) -> dict[str, Any]:
    """API data type StackSummary."""
    return {**stack(record), "TemplateDescription": stack(record)["Description"]}


def part(record: Stack, one: Part) -> dict[str, Any]:
    """API data types StackResource, StackResourceDetail and StackResourceSummary."""
    return {
        "StackName": record.name,
        "StackId": record.identity,
        "LogicalResourceId": one.logical_id,
        "PhysicalResourceId": one.physical_id,
        "ResourceType": one.type,
        "Timestamp": one.changed,
        "LastUpdatedTimestamp": one.changed,
        "ResourceStatus": one.status,
        "ResourceStatusReason": one.reason or None,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }


def event(record: Stack, one: Event) -> dict[str, Any]:
    """API data type StackEvent."""
    return {
        "StackId": record.identity,
        "EventId": one.identity,
        "StackName": record.name,
        "LogicalResourceId": one.logical_id,
        "PhysicalResourceId": one.physical_id,
        "ResourceType": one.type,
        "Timestamp": one.at,
        "ResourceStatus": one.status,
        "ResourceStatusReason": one.reason or None,
    }


def change_set(record: Stack, one: ChangeSet) -> dict[str, Any]:
    """API answer DescribeChangeSet, and data type ChangeSetSummary."""
    return {
        "ChangeSetName": one.name,
        "ChangeSetId": one.identity,
        "StackId": record.identity,
        "StackName": record.name,
        "Description": one.description or None,
        "Parameters": parameters(one.wish.template, dict(one.wish.parameters)),
        "CreationTime": one.created,
        "ExecutionStatus": one.execution,
        "Status": one.status,
        "StatusReason": one.reason or None,
        "Capabilities": sorted(one.wish.capabilities),
        "Tags": [{"Key": k, "Value": v} for k, v in one.wish.tags],
        "Changes": [{"Type": "Resource", "ResourceChange": change} for change in one.changes],
    }
