"""Refusals in the form of Google's APIs (google.rpc.Status as JSON; "Errors", Cloud APIs)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.http.message import Response

# google.rpc.Code: number on the wire of an operation, and HTTP status (google/rpc/code.proto).
CODES: Mapping[str, tuple[int, int]] = {
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "UNAUTHENTICATED": (16, 401),
}
RPC = "type.googleapis.com/google.rpc."


class ApiError(Exception):
    """A call, or the work of an operation, that is refused.

    Args:
        status: a key of `CODES`.
        message: the service's words.
        details: messages with an ``@type``.
    """

    def __init__(self, status: str, message: str, *details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = details

    def rpc(self) -> dict[str, Any]:
        """As an operation's ``error``."""
        found: dict[str, Any] = {"code": CODES[self.status][0], "message": self.message}
        return {**found, "details": list(self.details)} if self.details else found

    def response(self) -> Response:
        """As the answer to a call."""
        code = CODES[self.status][1]
        error: dict[str, Any] = {"code": code, "message": self.message, "status": self.status}
        if self.details:
            error["details"] = list(self.details)
        return answer({"error": error}, status=code)


def answer(body: Mapping[str, Any], *, status: int = 200) -> Response:
    """A JSON answer."""
    headers = [("Content-Type", "application/json; charset=UTF-8")]
    return Response(status, headers, json.dumps(body).encode())


def info(reason: str, domain: str, **metadata: str) -> dict[str, Any]:
    """A google.rpc.ErrorInfo."""
    return {"@type": f"{RPC}ErrorInfo", "reason": reason, "domain": domain, "metadata": metadata}


def invalid(message: str, field: str | None = None) -> ApiError:
    """A 400, with the field that is wrong."""
    if field is None:
        return ApiError("INVALID_ARGUMENT", message)
    violation = {"field": field, "description": message}
    return ApiError(
        "INVALID_ARGUMENT", message, {"@type": f"{RPC}BadRequest", "fieldViolations": [violation]}
    )


def missing(name: str) -> ApiError:
    """A 404 of the services that name a resource in full."""
    return ApiError("NOT_FOUND", f"Resource '{name}' was not found")
