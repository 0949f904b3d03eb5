"""Checksums of a multipart upload's parts, which moto takes and doesn't tell.

UploadPart and ListParts (Amazon S3 API Reference).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from clouddeploy.emulator.call import Call
from clouddeploy.emulator.http.message import Response
from clouddeploy.emulator.s3.conditions import write
from clouddeploy.emulator.s3.digests import check_body

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

CHECKSUM = re.compile(r"x-amz-checksum-(crc32|crc32c|crc64nvme|sha1|sha256)")
PART = re.compile(rb"<PartNumber>(\d+)</PartNumber>")
Parts = dict[str, dict[int, tuple[str, str]]]
"""By upload id and part number: the algorithm and the checksum."""


def _upload(call: Call) -> tuple[str, int]:
    query = parse_qs(call.request.query)
    return query["uploadId"][0], int(query.get("partNumber", ["0"])[0])


def upload(cloud: Cloud, call: Call) -> None:
    """UploadPart: check the body, and remember its checksum; moto answers."""
    check_body(cloud, call)
    upload_id, number = _upload(call)
    for name, value in call.request.headers.items():
        match = CHECKSUM.fullmatch(name)
        if match:
            cloud.parts.setdefault(upload_id, {})[number] = (match[1].upper(), value)


def listing(cloud: Cloud, call: Call) -> Response:
    """ListParts: moto's answer, with the checksums."""
    answer = cloud.moto(call.request)
    known = cloud.parts.get(_upload(call)[0], {})

    def add(match: re.Match[bytes]) -> bytes:
        kind, value = known.get(int(match[1]), ("", ""))
        return match[0] + (f"<Checksum{kind}>{value}</Checksum{kind}>".encode() if kind else b"")

    return Response(answer.status, answer.headers, PART.sub(add, answer.body))


def finished(cloud: Cloud, call: Call) -> Response:
    """CompleteMultipartUpload, AbortMultipartUpload: moto's answer; then the checksums are forgotten."""
    answer = write(cloud, call)
    if answer.status < 300:
        cloud.parts.pop(_upload(call)[0], None)
    return answer
