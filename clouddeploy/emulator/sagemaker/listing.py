"""ListModels, ListEndpointConfigs, ListEndpoints (Amazon SageMaker API Reference): filter, sort, page."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.sagemaker.records import Endpoint, Record

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

PAGE = 10
NAMES = {
    "model": ("Models", "ModelName", "ModelArn"),
    "endpoint-config": ("EndpointConfigs", "EndpointConfigName", "EndpointConfigArn"),
    "endpoint": ("Endpoints", "EndpointName", "EndpointArn"),
}
KINDS = {"ListModels": "model", "ListEndpointConfigs": "endpoint-config", "ListEndpoints": "endpoint"}


def listing(cloud: Cloud, call: Call) -> dict[str, Any]:
    """One page; newest first unless asked otherwise."""
    kind, wish = KINDS[call.operation], call.params
    member, name_key, arn_key = NAMES[kind]
    with cloud.store.lock:
        records = [r for r in cloud.store.all(call.region, kind).values() if _wanted(r, wish)]
        records.sort(
            key=lambda r: _rank(r, wish), reverse=wish.get("SortOrder", "Descending") == "Descending"
        )
        records = _after(records, wish)
        size = wish.get("MaxResults") or PAGE
        page = [
            {name_key: r.name, arn_key: r.arn, "CreationTime": r.created, **_state(r)} for r in records[:size]
        ]
        found: dict[str, Any] = {member: page}
        if len(records) > size:
            rank = json.dumps(_rank(records[size - 1], wish)).encode()
            found["NextToken"] = base64.urlsafe_b64encode(rank).decode()
        return found


def _wanted(record: Record, wish: dict[str, Any]) -> bool:
    modified = record.modified if isinstance(record, Endpoint) else record.created
    return (
        str(wish.get("NameContains", "")).lower() in record.name.lower()
        and (not wish.get("StatusEquals") or _state(record).get("EndpointStatus") == wish["StatusEquals"])
        and wish.get("CreationTimeAfter", 0) <= record.created <= wish.get("CreationTimeBefore", float("inf"))
        and wish.get("LastModifiedTimeAfter", 0)
        <= modified
        <= wish.get("LastModifiedTimeBefore", float("inf"))
    )


def _rank(record: Record, wish: dict[str, Any]) -> list[Any]:
    """Where a record stands in the order asked for; unique, so that a page can begin after it."""
    by = wish.get("SortBy", "CreationTime")
    first: Any = record.created
    if by == "Name":
        first = record.name
    elif by == "Status":
        first = _state(record).get("EndpointStatus", "")
    return [first, record.name]


def _after(records: list[Record], wish: dict[str, Any]) -> list[Record]:
    if not wish.get("NextToken"):
        return records
    try:
        last = json.loads(base64.urlsafe_b64decode(wish["NextToken"]))
    except ValueError:
        raise Refused("Invalid NextToken.") from None
    descending = wish.get("SortOrder", "Descending") == "Descending"
    return [r for r in records if (_rank(r, wish) < last if descending else _rank(r, wish) > last)]


def _state(record: Record) -> dict[str, Any]:
    if isinstance(record, Endpoint):
        return {"LastModifiedTime": record.modified, "EndpointStatus": record.status}
    return {}
