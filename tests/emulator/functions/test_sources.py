"""A queue feeds a function; what it couldn't do stays in the queue."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.emulator.conftest import refused
from tests.emulator.functions.conftest import Functions

CODE = """
def go(event, context):
    bad = [r["messageId"] for r in event["Records"] if r["body"] == "bad"]
    print("bodies", sorted(r["body"] for r in event["Records"]))
    return {"batchItemFailures": [{"itemIdentifier": i} for i in bad]}
"""


@pytest.fixture
def queue(functions: Functions) -> tuple[Any, str, str]:
    """A client, and a queue's URL and ARN."""
    sqs = functions.rig.client("sqs")
    url = sqs.create_queue(QueueName=functions.rig.fresh("queue"), Attributes={"VisibilityTimeout": "60"})
    found = sqs.get_queue_attributes(QueueUrl=url["QueueUrl"], AttributeNames=["QueueArn"])["Attributes"]
    return sqs, url["QueueUrl"], found["QueueArn"]


def left(sqs: Any, url: str) -> tuple[int, int]:
    """Messages that wait, and messages that somebody has received."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def test_only_what_failed_stays(functions: Functions, queue: tuple[Any, str, str]) -> None:
    """Lambda Developer Guide, "Handling errors for an SQS event source": partial batch responses."""
    sqs, url, arn = queue
    name = functions.make(CODE)
    mapping = functions.api.create_event_source_mapping(
        FunctionName=name, EventSourceArn=arn, FunctionResponseTypes=["ReportBatchItemFailures"]
    )
    entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(("good", "bad", "fine"))]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    deadline = time.monotonic() + 10
    while left(sqs, url) != (0, 1) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left(sqs, url) == (0, 1)
    bodies = [line.partition(" ")[2] for line in functions.log(name) if line.startswith("bodies")]
    assert sorted(b for line in bodies for b in json.loads(line.replace("'", '"'))) == ["bad", "fine", "good"]
    functions.api.delete_event_source_mapping(UUID=mapping["UUID"])


def test_an_unknown_source_is_refused(functions: Functions) -> None:
    name = functions.make()
    arn = "arn:aws:sqs:eu-west-1:123456789012:nobody"
    assert refused(functions.api.create_event_source_mapping, FunctionName=name, EventSourceArn=arn)
