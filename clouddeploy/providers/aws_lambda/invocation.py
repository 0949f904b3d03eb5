"""One request to what runs, and what its answer means."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from clouddeploy.errors import CloudDeployError, CloudError, InputError, NotFound, PredictionError
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.event import http_event
from clouddeploy.providers.aws_lambda.trial import fix_for, log_lines, reason_of
from clouddeploy.spec import Reply

PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of an event and of an answer (Lambda quotas, "Invocation payload")."""
ATTEMPTS = 3
PATH = "/"
TOO_LARGE = ("RequestTooLargeException", "413")


def invoke(aws: Aws, name: str, body: bytes, *, content_type: str, accept: str) -> Reply:
    """Send one request (see `clouddeploy.providers.Provider.invoke`)."""
    headers = {"content-type": content_type, "accept": accept}
    payload = json.dumps(http_event("POST", PATH, headers=headers, body=body)).encode()
    if len(payload) > PAYLOAD_LIMIT:
        raise _too_large(len(body), len(payload))
    params = {"FunctionName": name, "Qualifier": names.ALIAS, "Payload": payload, "LogType": "Tail"}
    try:
        answer = aws.call("lambda", "Invoke", params, attempts=ATTEMPTS)
        content: bytes = answer["Payload"].read()
    except CloudDeployError as error:
        raise _translated(aws, name, len(body), len(payload), error) from error
    if answer.get("FunctionError"):
        raise _crashed(name, content, answer)
    return _reply(name, content, answer)


def _reply(name: str, content: bytes, answer: Mapping[str, Any]) -> Reply:
    try:
        found = json.loads(content)
        status = int(found["statusCode"])
        text = found.get("body") or ""
        body = b64decode(text) if found.get("isBase64Encoded") else text.encode()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PredictionError(
            f"function {name!r} answered with something that isn't an HTTP answer",
            why=content[:200].decode(errors="replace"),
            fix="deploy it by clouddeploy, or call it by its own means",
            code="bad_answer",
            operation="lambda.Invoke",
        ) from error
    headers = {str(k).lower(): str(v) for k, v in (found.get("headers") or {}).items()}
    told: Mapping[str, Any] = answer.get("ResponseMetadata", {})
    if told.get("RequestId"):
        headers.setdefault("x-amzn-requestid", str(told["RequestId"]))
    if status >= 400:
        raise _refused(name, status, body, answer)
    return Reply(body, headers.get("content-type", ""), headers)


def _refused(name: str, status: int, body: bytes, answer: Mapping[str, Any]) -> CloudDeployError:
    told = _told(body)
    message = told.get("message") or body[:500].decode(errors="replace") or f"status {status}"
    code, fix = told.get("code", ""), told.get("fix", "")
    if status < 500:
        return InputError(message, fix=fix, code=code or "bad_input", status=status)
    return PredictionError(
        f"function {name!r} failed to predict: {message}",
        fix=fix or "see the log lines, or its logs()",
        code=code or "internal",
        operation="lambda.Invoke",
        status=status,
        log_tail=log_lines(answer),
    )


def _crashed(name: str, content: bytes, answer: Mapping[str, Any]) -> PredictionError:
    """The process raised, ended or took too long: Lambda's own error, and its trace from the log."""
    reason = reason_of(content)
    return PredictionError(
        f"function {name!r} failed: {reason}",
        why=f"Lambda reports an {str(answer.get('FunctionError')).lower()} error",
        fix=fix_for(reason, "see the log lines, or its logs()"),
        code="internal",
        operation="lambda.Invoke",
        log_tail=log_lines(answer),
    )


def _translated(
    aws: Aws, name: str, body_bytes: int, payload_bytes: int, error: CloudDeployError
) -> CloudDeployError:
    if not isinstance(error, CloudError):
        return error
    if error.code == "ResourceNotFoundException":
        return NotFound(
            f"nothing runs under {name!r} on Lambda in {aws.region}", why=error.why, fix="deploy it first"
        )
    return _too_large(body_bytes, payload_bytes) if error.code in TOO_LARGE else error


def _too_large(body_bytes: int, payload_bytes: int) -> InputError:
    return InputError(
        f"the request has {body_bytes:,} bytes, {payload_bytes:,} as the event that Lambda gets",
        why=f"Lambda takes events of {PAYLOAD_LIMIT:,} bytes (6 MB) at the most",
        fix="send fewer examples or application/x-npy",
        code="too_large",
        status=413,
    )


def _told(body: bytes) -> dict[str, str]:
    """What our own wire contract's error says; nothing when the answer is another."""
    try:
        found = json.loads(body)["error"]
        return {k: str(found.get(k) or "") for k in ("code", "message", "fix")}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
