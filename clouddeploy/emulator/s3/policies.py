"""Bucket policies ("Bucket policies for Amazon S3", User Guide).

moto takes a statement whose condition it doesn't know for a denial of everything. It gets the statements
without conditions; those with one are kept and shown, and don't act: that the transport must be secure
("aws:SecureTransport") counts as true on loopback, and nothing else can be told of a request here.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends.roles import as_list
from clouddeploy.emulator.call import Call, Refused
from clouddeploy.emulator.http.message import Response

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

Policies = dict[str, str]
MALFORMED = "MalformedPolicy"


def put(cloud: Cloud, call: Call) -> Response:
    """PutBucketPolicy."""
    text = call.request.body.decode("utf-8", "replace")
    acting = [s for s in _statements(text) if not s.get("Condition")]
    body = json.dumps({"Version": "2012-10-17", "Statement": acting}).encode()
    headers = {k: v for k, v in call.request.headers.items() if k != "content-md5"}
    answer = cloud.moto(replace(call.request, body=body, headers=headers))
    if answer.status < 300:
        cloud.policies[_bucket(call)] = text
        if not acting:
            cloud.moto(replace(call.request, method="DELETE", body=b"", headers=headers))
    return answer


def get(cloud: Cloud, call: Call) -> Response | None:
    """GetBucketPolicy: as it was put."""
    text = cloud.policies.get(_bucket(call))
    if text is None:
        return None
    return Response(200, [("Content-Type", "application/json")], text.encode())


def forget(cloud: Cloud, call: Call) -> Response:
    """DeleteBucketPolicy, and DeleteBucket, with which the policy goes."""
    answer = cloud.moto(call.request)
    if answer.status < 300:
        cloud.policies.pop(_bucket(call), None)
    return answer


def _bucket(call: Call) -> str:
    return call.request.raw_path.lstrip("/").partition("/")[0]


def _statements(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError:
        raise Refused("This policy contains invalid Json", code=MALFORMED) from None
    statements = as_list(found.get("Statement")) if isinstance(found, dict) else []
    if not statements or not all(isinstance(s, dict) for s in statements):
        raise Refused("Missing required field Statement", code=MALFORMED)
    for statement in statements:
        for field in ("Effect", "Principal", "Action", "Resource"):
            if field not in statement and f"Not{field}" not in statement:
                raise Refused(f"Missing required field {field}", code=MALFORMED)
    return statements
