"""Batches of records from queues and streams, and which of them to send again.

"Implementing partial batch responses" (SQS): failed messages are named one by one; of a FIFO queue
nothing is tried after the first failure, and all that follows is named too, or the order would be lost.
"Configuring partial batch response with Kinesis Data Streams and Lambda" (DynamoDB likewise): Lambda
sends again everything from the lowest sequence number named, so work stops at the first failure.
Both need ``FunctionResponseTypes: [ReportBatchItemFailures]`` on the event source mapping.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clouddeploy.runtime.decode import JSON, NPY
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.function.http_event import body_of

SOURCES = ("aws:sqs", "aws:kinesis", "aws:dynamodb")
_NPY_MAGIC = b"\x93NUMPY"


@dataclass(frozen=True)
class Record:
    """One record.

    Args:
        id: what names it in the answer.
        read: its body and media type (empty where it names none), or None where there is nothing to
            predict; raises WireError where they can't be had.
    """

    id: str
    read: Callable[[], tuple[bytes, str] | None]


@dataclass(frozen=True)
class Batch:
    """Records in order; `ordered`: nothing is tried after a failure; `checkpoint`: naming one is enough."""

    source: str
    records: tuple[Record, ...]
    ordered: bool
    checkpoint: bool


def is_batch(event: Mapping[str, Any]) -> bool:
    """Whether `event` is a batch of a source that is known here."""
    records = event.get("Records")
    if not isinstance(records, list) or not records:
        return False
    return isinstance(records[0], dict) and records[0].get("eventSource") in SOURCES


def parse(event: Mapping[str, Any]) -> Batch:
    """The batch in `event`.

    Raises:
        ValueError: a record has no identity, or another source: nothing could be reported of it.
    """
    rows: list[Any] = event["Records"]
    source: str = rows[0]["eventSource"]
    make = {"aws:sqs": _sqs, "aws:kinesis": _kinesis, "aws:dynamodb": _dynamodb}[source]
    records = []
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or row.get("eventSource") != source:
            raise ValueError(f"Records[{index}] is no record of {source}")
        record = make(row)
        if not isinstance(record.id, str) or not record.id or not record.id.isascii():
            raise ValueError(f"Records[{index}] has no {_ID[source]}")
        records.append(record)
    fifo = str(rows[0].get("eventSourceARN", "")).endswith(".fifo")
    return Batch(source, tuple(records), ordered=source != "aws:sqs" or fifo, checkpoint=source != "aws:sqs")


_ID = {
    "aws:sqs": "messageId",
    "aws:kinesis": "kinesis.sequenceNumber",
    "aws:dynamodb": "dynamodb.SequenceNumber",
}


def _inner(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def _sqs(row: Mapping[str, Any]) -> Record:
    def read() -> tuple[bytes, str]:
        attributes = _inner(row, "messageAttributes")
        named = {str(key).lower().replace("-", ""): value for key, value in attributes.items()}
        kind = _inner(named, "contenttype").get("stringValue")
        return body_of({"body": row.get("body")}), kind if isinstance(kind, str) else ""

    return Record(row.get("messageId", ""), read)


def _kinesis(row: Mapping[str, Any]) -> Record:
    kinesis = _inner(row, "kinesis")

    def read() -> tuple[bytes, str]:
        try:
            body = base64.b64decode(kinesis["data"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise WireError(
                "bad_input", "kinesis.data is no base64", "send records through Kinesis"
            ) from error
        return body, NPY if body.startswith(_NPY_MAGIC) else ""

    return Record(kinesis.get("sequenceNumber", ""), read)


def _dynamodb(row: Mapping[str, Any]) -> Record:
    change = _inner(row, "dynamodb")

    def read() -> tuple[bytes, str] | None:
        if row.get("eventName") == "REMOVE":
            return None
        image = change.get("NewImage")
        if not isinstance(image, dict):
            raise WireError(
                "bad_input", "dynamodb.NewImage is missing", "set the stream's view type to NEW_IMAGE"
            )
        try:
            item = {name: _plain(value) for name, value in image.items()}
        except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
            raise WireError(
                "bad_input", "dynamodb.NewImage has a value of no known type", "store numbers, texts, lists"
            ) from error
        wanted = {name: item[name] for name in ("inputs", "input") if name in item}
        return json.dumps(wanted or item).encode(), JSON

    return Record(change.get("SequenceNumber", ""), read)


def _plain(value: Mapping[str, Any]) -> Any:
    """A DynamoDB attribute value as JSON has it ("AttributeValue", DynamoDB API)."""
    ((kind, inner),) = value.items()
    if kind == "N":
        return float(inner) if set(inner) & set(".eE") else int(inner)
    if kind in ("S", "B", "BOOL"):
        return inner
    if kind == "NULL":
        return None
    if kind == "L":
        return [_plain(item) for item in inner]
    if kind == "M":
        return {name: _plain(item) for name, item in inner.items()}
    if kind == "NS":
        return [_plain({"N": item}) for item in inner]
    if kind in ("SS", "BS"):
        return list(inner)
    raise ValueError(kind)
