"""Answers and refusals of Cloud Storage's JSON and XML APIs.

"HTTP status and error codes for JSON", "… for XML" (Cloud Storage documentation).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from clouddeploy.emulator.http.message import Response

HEADERS = (("X-GUploader-UploadID", "embedded"), ("Cache-Control", "no-cache, no-store, max-age=0"))
REASONS = {
    304: "notModified", 400: "invalid", 401: "required", 403: "forbidden", 404: "notFound",
    405: "methodNotAllowed", 409: "conflict", 412: "conditionNotMet", 416: "requestedRangeNotSatisfiable",
    499: "clientClosedRequest", 501: "notImplemented",
}  # fmt: skip
CODES = {
    400: "InvalidArgument", 401: "AuthenticationRequired", 403: "AccessDenied", 404: "NoSuchKey",
    405: "MethodNotAllowed", 409: "BucketNameUnavailable", 412: "PreconditionFailed", 416: "InvalidRange",
    501: "NotImplemented",
}  # fmt: skip


class Refusal(Exception):
    """A request that is refused.

    Args:
        status: of HTTP.
        message: the service's words.
        reason: of the JSON API, when it isn't the usual one of `status`.
        code: of the XML API, likewise.
    """

    def __init__(self, status: int, message: str, *, reason: str = "", code: str = "") -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.reason = reason or REASONS.get(status, "backendError")
        self.code = code or CODES.get(status, "InternalError")

    def json(self) -> Response:
        """As the JSON API answers it."""
        detail = {"message": self.message, "domain": "global", "reason": self.reason}
        if self.status == 412:
            detail |= {"locationType": "header", "location": "If-Match"}
        body = {"error": {"code": self.status, "message": self.message, "errors": [detail]}}
        return answer(body, self.status)

    def xml(self) -> Response:
        """As the XML API answers it."""
        inner = f"<Code>{self.code}</Code><Message>{escape(self.message)}</Message>"
        return document(f"<Error>{inner}<Details>{escape(self.message)}</Details></Error>", self.status)


def no_bucket() -> Refusal:
    """There is no such bucket."""
    return Refusal(404, "The specified bucket does not exist.", code="NoSuchBucket")


def no_object(bucket: str, name: str) -> Refusal:
    """There is no such object, or not in that generation."""
    return Refusal(404, f"No such object: {bucket}/{name}")


def denied(permission: str) -> Refusal:
    """The caller may not."""
    return Refusal(
        403,
        f"The caller does not have {permission} access to the Google Cloud Storage resource. "
        f"Permission '{permission}' denied on resource (or it may not exist).",
    )


def answer(body: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer."""
    headers = [("Content-Type", "application/json; charset=UTF-8"), *HEADERS]
    return Response(status, headers, json.dumps(body).encode())


def document(xml: str, status: int = 200) -> Response:
    """An XML answer."""
    headers = [("Content-Type", "application/xml; charset=UTF-8"), *HEADERS]
    return Response(status, headers, f"<?xml version='1.0' encoding='UTF-8'?>{xml}".encode())


def nothing(status: int = 204) -> Response:
    """An answer without a body."""
    return Response(status, list(HEADERS))
