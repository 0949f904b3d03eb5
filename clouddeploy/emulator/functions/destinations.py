"""Where the outcome of an asynchronous event goes: SQS or SNS, by destination or dead-letter queue.

"Capturing records of Lambda asynchronous invocations" (Lambda Developer Guide).
"""

from __future__ import annotations

import json
import logging
from typing import Any

from clouddeploy.emulator.backends import functions, messages
from clouddeploy.emulator.backends.functions import Function
from clouddeploy.emulator.functions.recipe import Outcome

log = logging.getLogger(__name__)


def deliver(
    function: Function, qualifier: str, config: dict[str, Any], payload: bytes, outcome: Outcome, count: int
) -> None:
    """Send a record to the destination that fits, and the bare event to a dead-letter queue on failure."""
    side = "OnFailure" if outcome.failed else "OnSuccess"
    arn = (config.get("DestinationConfig", {}).get(side) or {}).get("Destination")
    if arn:
        _send(arn, json.dumps(_record(function, qualifier, payload, outcome, count)))
    dead = (function.extras.get("DeadLetterConfig") or {}).get("TargetArn")
    if outcome.failed and dead:
        _send(dead, payload.decode("utf-8", "replace"))


def _record(
    function: Function, qualifier: str, payload: bytes, outcome: Outcome, count: int
) -> dict[str, Any]:
    context: dict[str, Any] = {"statusCode": 200, "executedVersion": outcome.version}
    if outcome.failed:
        context["functionError"] = "Unhandled"
    return {
        "version": "1.0",
        "timestamp": functions.timestamp().replace("+0000", "Z"),
        "requestContext": {
            "requestId": outcome.request_id,
            "functionArn": functions.arn_of(function.region, function.name, qualifier or functions.LATEST),
            "condition": "RetriesExhausted" if outcome.failed else "Success",
            "approximateInvokeCount": count,
        },
        "requestPayload": _parsed(payload),
        "responseContext": context,
        "responsePayload": _parsed(outcome.body),
    }


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data or b"null")
    except ValueError:
        return data.decode("utf-8", "replace")


def _send(arn: str, text: str) -> None:
    if not messages.send(arn, text):
        log.warning("nothing takes the outcome of an asynchronous event at %s", arn)
