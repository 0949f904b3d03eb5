"""AddTags, ListTags, DeleteTags for models, endpoint configs and endpoints; the rest is moto's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.sagemaker.records import LABELS, Record

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud


def _record(cloud: Cloud, call: Call) -> Record | None:
    kind, _, name = str(call.params["ResourceArn"]).rpartition(":")[2].partition("/")
    if kind not in LABELS:
        return None
    for record in cloud.store.all(call.region, kind).values():
        if record.name.lower() == name.lower():
            return record
    raise Refused(f'Could not find {LABELS[kind]} "{call.params["ResourceArn"]}".')


def add(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """AddTags: a key that is there gets the new value."""
    record = _record(cloud, call)
    if record is None:
        return None
    with cloud.store.lock:
        merged = {t["Key"]: t["Value"] for t in [*record.tags, *call.params["Tags"]]}
        record.tags = [{"Key": k, "Value": v} for k, v in merged.items()]
        return {"Tags": record.tags}


def listing(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """ListTags."""
    record = _record(cloud, call)
    return None if record is None else {"Tags": record.tags}


def delete(cloud: Cloud, call: Call) -> dict[str, Any] | None:
    """DeleteTags."""
    record = _record(cloud, call)
    if record is None:
        return None
    with cloud.store.lock:
        record.tags = [t for t in record.tags if t["Key"] not in call.params["TagKeys"]]
    return {}
