"""One API call as it came in, and how it is answered or refused in its service's protocol."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, parse_qsl
from xml.sax.saxutils import escape

from clouddeploy.emulator.http.message import Request, Response

JSON_TYPE = "application/x-amz-json-1.1"
# Services of the Query protocol: forms in, XML out.
QUERY = frozenset({"iam", "sts", "cloudformation"})
CREDENTIAL = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request")
DEFAULT_REGION = "us-east-1"
# Services of the REST-JSON protocol, whose operations are told by method and path.
REST = frozenset({"lambda"})
# S3's operations: method, whether there is a key, a word in the query, name; the most special first.
S3_OPERATIONS = (
    ("GET", False, "uploads", "ListMultipartUploads"), ("GET", True, "uploadId", "ListParts"),
    ("POST", True, "uploads", "CreateMultipartUpload"), ("POST", True, "uploadId", "CompleteMultipartUpload"),
    ("PUT", True, "partNumber", "UploadPart"), ("DELETE", True, "uploadId", "AbortMultipartUpload"),
    ("POST", False, "delete", "DeleteObjects"), ("GET", False, "location", "GetBucketLocation"),
    ("GET", False, "list-type", "ListObjectsV2"), ("GET", False, "versions", "ListObjectVersions"),
    ("PUT", False, "tagging", "PutBucketTagging"), ("GET", False, "tagging", "GetBucketTagging"),
    ("DELETE", False, "tagging", "DeleteBucketTagging"),
    ("PUT", True, "tagging", "PutObjectTagging"), ("GET", True, "tagging", "GetObjectTagging"),
    ("PUT", False, "publicAccessBlock", "PutPublicAccessBlock"),
    ("GET", False, "publicAccessBlock", "GetPublicAccessBlock"),
    ("PUT", False, "encryption", "PutBucketEncryption"), ("GET", False, "encryption", "GetBucketEncryption"),
    ("PUT", False, "versioning", "PutBucketVersioning"), ("GET", False, "versioning", "GetBucketVersioning"),
    ("PUT", False, "lifecycle", "PutBucketLifecycleConfiguration"),
    ("GET", False, "lifecycle", "GetBucketLifecycleConfiguration"),
    ("PUT", False, "policy", "PutBucketPolicy"), ("GET", False, "policy", "GetBucketPolicy"),
    ("DELETE", False, "policy", "DeleteBucketPolicy"),
    ("DELETE", False, "encryption", "DeleteBucketEncryption"),
    ("GET", True, "attributes", "GetObjectAttributes"),
    ("PUT", True, "", "PutObject"), ("GET", True, "", "GetObject"), ("HEAD", True, "", "HeadObject"),
    ("DELETE", True, "", "DeleteObject"), ("PUT", False, "", "CreateBucket"),
    ("HEAD", False, "", "HeadBucket"),
    ("DELETE", False, "", "DeleteBucket"), ("GET", False, "", "ListObjects"),
)  # fmt: skip


class Refused(Exception):
    """The real service would refuse the call.

    Args:
        message: its words.
        code: its error code.
        status: its HTTP status.
        extra: further members of the error's body.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "ValidationException",
        status: int = 400,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.extra = dict(extra or {})


@dataclass
class Call:
    """A request with the service, the operation and the region that it is for."""

    service: str
    operation: str
    region: str
    request: Request

    @cached_property
    def params(self) -> dict[str, Any]:
        """The call's parameters: a JSON body's members, or a form's fields as text."""
        if self.service in QUERY:
            return dict(parse_qsl(self.request.body.decode("utf-8", "replace"), keep_blank_values=True))
        try:
            if self.service in REST:
                from clouddeploy.emulator import rest  # it reads refusals from here

                return rest.params(self.service, self.request)
            found = json.loads(self.request.body or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Refused("the body is no JSON object", code="SerializationException")
        return found


def identify(request: Request) -> Call:
    """Service, operation and region of a request, as its signature and its protocol tell."""
    scope = CREDENTIAL.search(request.headers.get("authorization", ""))
    region, service = scope.groups() if scope else (DEFAULT_REGION, "")
    target = request.headers.get("x-amz-target", "")
    if not service:
        service = "sagemaker" if target.startswith("SageMaker.") else "s3"
    if target:
        operation = target.rpartition(".")[2]
    elif request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        operation = parse_qs(request.body[:4096].decode("latin-1")).get("Action", [""])[0]
    elif "/operation/" in request.target:
        operation = request.raw_path.rpartition("/")[2]
    elif service == "s3":
        operation = _s3_operation(request)
    elif service in REST:
        from clouddeploy.emulator import rest

        operation = rest.operation(service, request)
    else:
        operation = request.method
    return Call(service, operation, region, request)


def _s3_operation(request: Request) -> str:
    bucket, _, key = request.raw_path.lstrip("/").partition("/")
    if not bucket:
        return "ListBuckets"
    if request.method == "PUT" and key and "x-amz-copy-source" in request.headers:
        return "UploadPartCopy" if "partNumber" in request.query else "CopyObject"
    marks = {part.partition("=")[0] for part in request.query.split("&")}
    for method, has_key, mark, name in S3_OPERATIONS:
        if method == request.method and has_key == bool(key) and (not mark or mark in marks):
            return name
    return request.method


def json_answer(body: Mapping[str, Any]) -> Response:
    """A success in the JSON protocols."""
    return Response(200, [("Content-Type", JSON_TYPE)], json.dumps(body).encode())


def refusal(call: Call, error: Refused) -> Response:
    """`error` in the protocol of the call's service."""
    if call.service == "s3":
        text = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
        return Response(error.status, [("Content-Type", "application/xml")], text.encode())
    if call.service in QUERY:
        inner = f"<Type>Sender</Type><Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
        text = f"<ErrorResponse><Error>{inner}</Error><RequestId>emulated</RequestId></ErrorResponse>"
        return Response(error.status, [("Content-Type", "text/xml")], text.encode())
    body = {"__type": error.code, "message": error.message, "Message": error.message, **error.extra}
    headers = [("Content-Type", JSON_TYPE), ("x-amzn-ErrorType", error.code)]
    return Response(error.status, headers, json.dumps(body).encode())
