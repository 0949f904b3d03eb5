"""A request as a function URL hands it to the function.

Lambda Developer Guide, "Request payload format" (version 2.0) of "Invoking Lambda function URLs".
"""

from __future__ import annotations

import time
import uuid
from base64 import b64encode
from collections.abc import Mapping
from typing import Any


def http_event(
    method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> dict[str, Any]:
    """The event of one request; its body is always in base64, so that every byte arrives."""
    now = time.time()
    http = {
        "method": method,
        "path": path,
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "clouddeploy",
    }
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": dict(headers or {}),
        "requestContext": {
            "routeKey": "$default",
            "stage": "$default",
            "requestId": uuid.uuid4().hex,
            "timeEpoch": int(now * 1000),
            "http": http,
        },
        "isBase64Encoded": bool(body),
    }
    if body:
        event["body"] = b64encode(body).decode("ascii")
    return event
