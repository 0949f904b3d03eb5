"""Queues that feed functions: messages are polled, handed over in batches, and deleted on success.

"Using Lambda with Amazon SQS" and "Handling errors for an SQS event source" (Lambda Developer Guide).
moto keeps the mappings; its own delivery, which runs functions in Docker, is switched off. Streams
(Kinesis, DynamoDB) are kept but not polled.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends import event_sources, functions, messages
from clouddeploy.emulator.backends.event_sources import Mapping
from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.functions.invoking import run
from clouddeploy.emulator.functions.names import resolve, split

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

POLL_S = 0.1
MOST = 10
PARTIAL = "ReportBatchItemFailures"
log = logging.getLogger(__name__)


class Sources:
    """The thread that polls, from the first mapping on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._polls = False

    def attend(self, cloud: Cloud) -> None:
        """Begin to poll, unless that goes on already."""
        with self._lock:
            if not self._polls:
                self._polls = True
                threading.Thread(target=self._poll, args=(cloud,), name="sources", daemon=True).start()

    def _poll(self, cloud: Cloud) -> None:
        while not cloud.stopped.wait(POLL_S):
            for mapping in event_sources.mappings():
                try:
                    _deliver(cloud, mapping)
                except Exception:  # the boundary: one queue's trouble is no other's
                    log.exception("polling %s failed", mapping.source)


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    """CreateEventSourceMapping."""
    name, qualifier = split(str(call.params["FunctionName"]))
    functions.latest(call.region, name)
    arn = functions.arn_of(call.region, name, qualifier)
    if qualifier:
        resolve(call.region, name, qualifier)
    found = event_sources.add_mapping(call.region, {**call.params, "FunctionName": name}, arn)
    cloud.sources.attend(cloud)
    return found


def _deliver(cloud: Cloud, mapping: Mapping) -> None:
    """One batch of a queue's messages to its function."""
    if not mapping.enabled or mapping.service != "sqs" or not messages.has_queue(mapping.source):
        return
    queue = mapping.source.rpartition(":")[2]
    client = cloud.clients.get(mapping.region, "sqs")
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    size = min(mapping.batch_size, MOST)
    found = client.receive_message(
        QueueUrl=url, MaxNumberOfMessages=size, AttributeNames=["All"], MessageAttributeNames=["All"]
    ).get("Messages", [])
    if not found:
        return
    name, qualifier = split(mapping.function)
    payload = json.dumps({"Records": [_record(message, mapping) for message in found]}).encode()
    try:
        outcome = run(cloud, mapping.region, name, qualifier, payload)
    except Refused as error:  # throttled or deleted: they come back when their time is over
        log.info("%s did not take a batch: %s", mapping.function, error.message)
        return
    failed = {m["MessageId"] for m in found} if outcome.failed else set()
    if not outcome.failed and PARTIAL in mapping.response_types:
        failed = _failures(outcome.body, {m["MessageId"] for m in found})
    for message in found:
        if message["MessageId"] not in failed:
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def _failures(body: bytes, sent: set[str]) -> set[str]:
    """The messages that the function gives back; all of them when its answer can't be read."""
    try:
        found = {
            str(item["itemIdentifier"]) for item in (json.loads(body) or {}).get("batchItemFailures") or ()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return sent
    return found if found <= sent else sent


def _record(message: dict[str, Any], mapping: Mapping) -> dict[str, Any]:
    attributes = {
        name: {"stringValue": value.get("StringValue"), "dataType": value["DataType"]}
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": mapping.source,
        "awsRegion": mapping.region,
    }
