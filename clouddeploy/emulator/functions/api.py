"""Lambda's operations: which function of ours answers each; the others are moto's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.call import Call
from clouddeploy.emulator.constraints import check, model
from clouddeploy.emulator.functions import (
    checks,
    concurrency,
    control,
    options,
    policies,
    sources,
    urls,
    versions,
)
from clouddeploy.emulator.http.message import Response

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

OPERATIONS: dict[str, Callable[[Cloud, Call], Mapping[str, Any] | None]] = {
    "CreateFunction": control.create,
    "GetFunction": control.get,
    "GetFunctionConfiguration": control.get_configuration,
    "ListFunctions": control.listing,
    "UpdateFunctionConfiguration": control.update_configuration,
    "UpdateFunctionCode": control.update_code,
    "DeleteFunction": control.delete,
    "ListTags": control.list_tags,
    "TagResource": control.tag,
    "UntagResource": control.untag,
    "PublishVersion": versions.publish_version,
    "ListVersionsByFunction": versions.list_versions,
    "CreateAlias": versions.create_alias,
    "GetAlias": versions.get_alias,
    "ListAliases": versions.list_aliases,
    "UpdateAlias": versions.update_alias,
    "DeleteAlias": versions.delete_alias,
    "PutProvisionedConcurrencyConfig": concurrency.put,
    "GetProvisionedConcurrencyConfig": concurrency.get,
    "ListProvisionedConcurrencyConfigs": concurrency.listing,
    "DeleteProvisionedConcurrencyConfig": concurrency.delete,
    "PutFunctionConcurrency": concurrency.reserve,
    "GetFunctionConcurrency": concurrency.get_reserved,
    "DeleteFunctionConcurrency": concurrency.lift,
    "GetAccountSettings": concurrency.account,
    "AddPermission": policies.add,
    "GetPolicy": policies.get,
    "RemovePermission": policies.remove,
    "PutFunctionEventInvokeConfig": options.put_async,
    "UpdateFunctionEventInvokeConfig": options.update_async,
    "GetFunctionEventInvokeConfig": options.get_async,
    "ListFunctionEventInvokeConfigs": options.list_async,
    "DeleteFunctionEventInvokeConfig": options.delete_async,
    "PutRuntimeManagementConfig": options.put_runtime,
    "GetRuntimeManagementConfig": options.get_runtime,
    "PutFunctionRecursionConfig": options.put_recursion,
    "GetFunctionRecursionConfig": options.get_recursion,
    "CreateEventSourceMapping": sources.create,
    "CreateFunctionUrlConfig": urls.create,
    "GetFunctionUrlConfig": urls.get,
    "ListFunctionUrlConfigs": urls.listing,
    "UpdateFunctionUrlConfig": urls.update,
    "DeleteFunctionUrlConfig": urls.delete,
}


def answer(cloud: Cloud, call: Call) -> Response | None:
    """Check a call against the service's model, and answer it."""
    checks.figures(call.params)
    check("lambda", call.operation, call.params)
    found = OPERATIONS[call.operation](cloud, call)
    if found is None:
        return None
    status = int(model("lambda").operation_model(call.operation).http.get("responseCode", 200))
    if call.operation == "DeleteFunction":
        status = 204
    body = b"" if status == 204 else json.dumps(found).encode()
    return Response(status, [("Content-Type", "application/json")], body)
