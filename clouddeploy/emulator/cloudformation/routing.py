"""CloudFormation's operations, and which of them are answered how. Stack sets are moto's."""

from __future__ import annotations

from collections.abc import Mapping

from clouddeploy.emulator.cloudformation import changesets, operations
from clouddeploy.emulator.cloudformation.operations import Operation, answering

OPERATIONS: Mapping[str, Operation] = {
    "CreateChangeSet": changesets.create,
    "CreateStack": operations.create,
    "DeleteChangeSet": changesets.delete,
    "DeleteStack": operations.delete,
    "DescribeChangeSet": changesets.describe,
    "DescribeStackEvents": operations.events,
    "DescribeStackResource": operations.resource,
    "DescribeStackResources": operations.resources,
    "DescribeStacks": operations.describe,
    "ExecuteChangeSet": changesets.execute,
    "GetStackPolicy": operations.get_policy,
    "GetTemplate": operations.template,
    "ListChangeSets": changesets.listing,
    "ListExports": operations.exports,
    "ListStackResources": operations.list_resources,
    "ListStacks": operations.listing,
    "SetStackPolicy": operations.set_policy,
    "UpdateStack": operations.update,
    "UpdateTerminationProtection": operations.protect,
    "ValidateTemplate": operations.validate,
}
ROUTES = {("cloudformation", name): answering(operation) for name, operation in OPERATIONS.items()}
