"""What a server's refusal means to the caller, as one of `clouddeploy.errors`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from clouddeploy.client.http1 import Answer
from clouddeploy.errors import (
    CloudDeployError,
    CloudError,
    CredentialsError,
    InputError,
    NotFound,
    PredictionError,
    Throttled,
)

SHOWN = 300


def refused(answer: Answer, server: str, request_id: str) -> CloudDeployError:
    """The error that `answer`, whose status is none of success, stands for."""
    told = told_by(answer.body)
    message = told["message"] or f"it answered {answer.status}"
    code, fix, status = told["code"], told["fix"], answer.status
    where = f"request {request_id} to {server}"
    if status < 400:
        return _redirected(answer, server)
    if status in (401, 403):
        return CredentialsError(
            f"{server} refuses the caller: {message}",
            why=where,
            fix=fix or "give Client(api_key=…) or Client(token=…) that the server knows",
        )
    if status == 404:
        return NotFound(f"{server} has no such thing: {message}", why=where, fix=fix or "correct the address")
    if status == 429 or (status == 503 and (code == "overloaded" or "retry-after" in answer.headers)):
        busy = "has too much to do" if status == 429 or code == "overloaded" else "can't answer now"
        what = "isn't ready" if code == "not_ready" else busy
        return Throttled(
            f"{server} {what}: {message}",
            why=where,
            fix=fix or "send fewer requests at once, or try again later",
            code=code or str(status),
        )
    if status < 500:
        return InputError(message, why=where, fix=fix, code=code or "bad_input", status=status)
    return PredictionError(
        f"{server} failed to predict: {message}",
        why=where,
        fix=fix or "see the server's log",
        code=code or "internal",
        status=status,
    )


def _redirected(answer: Answer, server: str) -> CloudError:
    there = answer.headers.get("location", "elsewhere")
    return CloudError(
        f"{server} sends the request to {there!r}",
        why="redirects aren't followed: credentials could go to somebody else",
        fix="give the client that address",
        code=str(answer.status),
    )


def told_by(body: bytes) -> dict[str, str]:
    """``code``, ``message`` and ``fix`` of an error in one of the protocols that we know; empty ones else.

    The wire contract has an object under ``error``; TensorFlow Serving and the Open Inference Protocol have
    a text there; what isn't JSON is shown as it is.
    """
    found: Any
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = body[:SHOWN].decode("utf-8", "replace").strip()
    if isinstance(found, Mapping):
        found = found.get("error", found.get("detail", found.get("message", "")))
    if isinstance(found, Mapping):
        return {key: str(found.get(key) or "") for key in ("code", "message", "fix")}
    return {"code": "", "message": found[:SHOWN] if isinstance(found, str) else "", "fix": ""}


def retry_after_s(answer: Answer, wall: float) -> float | None:
    """Seconds that the server asks to wait (RFC 9110, section 10.2.3); None when it doesn't say.

    Args:
        answer: of the server.
        wall: seconds since 1970 by our clock, for answers that name a time.
    """
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    if not text:
        return None
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall)
    except (ValueError, TypeError, OverflowError):
        return None
