"""One request to a service, and what its answer means."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping

from clouddeploy.errors import InputError, PredictionError
from clouddeploy.spec import Reply

OPERATION = "local.InvokeService"


def send(
    port: int, body: bytes, headers: Mapping[str, str], timeout_s: float
) -> tuple[int, bytes, dict[str, str]]:
    """POST `body` to the service on this machine; status, body and headers of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("POST", "/predict", body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
    finally:
        connection.close()


def reply(status: int, body: bytes, headers: Mapping[str, str]) -> Reply:
    """The answer, or the error that it tells.

    Raises:
        InputError: the input was refused.
        PredictionError: the model failed.
    """
    if status < 400:
        return Reply(body, headers.get("content-type", ""), headers)
    told = _told(body)
    message = told.get("message") or body[:500].decode(errors="replace") or f"status {status}"
    fix = told.get("fix") or "see its logs()"
    if status < 500:
        raise InputError(message, fix=fix, code=told.get("code") or "bad_input", status=status)
    raise PredictionError(
        message, fix=fix, code=told.get("code") or "internal", status=status, operation=OPERATION
    )


def _told(body: bytes) -> dict[str, str]:
    try:
        found = json.loads(body)["error"]
        return {key: str(found.get(key) or "") for key in ("code", "message", "fix")}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
