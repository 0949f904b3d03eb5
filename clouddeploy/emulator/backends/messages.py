"""moto's queues and topics, sent to from inside."""

from __future__ import annotations

from clouddeploy.emulator.backends.turns import turn
from clouddeploy.emulator.settings import ACCOUNT


def has_queue(arn: str) -> bool:
    """Whether there is a queue of that ARN."""
    from moto.sqs.models import sqs_backends

    region, name = arn.split(":")[3], arn.rpartition(":")[2]
    return name in sqs_backends[ACCOUNT][region].queues


def send(arn: str, text: str) -> bool:
    """Put a message into a queue or onto a topic; whether there is one of that ARN."""
    service, region, name = arn.split(":")[2], arn.split(":")[3], arn.rpartition(":")[2]
    if service == "sqs":
        from moto.sqs.models import sqs_backends

        with turn("sqs"):
            queues = sqs_backends[ACCOUNT][region]
            if name not in queues.queues:
                return False
            queues.send_message(name, text)
        return True
    if service == "sns":
        from moto.sns.models import sns_backends

        with turn("sns"):
            topics = sns_backends[ACCOUNT][region]
            if arn not in topics.topics:
                return False
            topics.publish(text, arn=arn)
        return True
    return False
