"""Checksums of uploads ("Checking object integrity in Amazon S3", Amazon S3 User Guide).

A body that doesn't match the digest that was sent with it is refused with ``BadDigest``. Digests in
the trailer of an ``aws-chunked`` body, and CRC32C and CRC64NVME where no library for them is there,
aren't looked at.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from clouddeploy.emulator.call import Call, Refused

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "content-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "x-amz-checksum-sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
}


def check_body(_: Cloud, call: Call) -> None:
    """PutObject, UploadPart: refuse a body that isn't what its digest says; moto answers the rest."""
    headers = call.request.headers
    if "aws-chunked" in headers.get("content-encoding", ""):
        return
    for name, digest in DIGESTS.items():
        sent = headers.get(name)
        if sent is None or base64.b64encode(digest(call.request.body)).decode() == sent:
            continue
        if name == "content-md5":
            raise Refused("The Content-MD5 you specified did not match what we received.", code="BadDigest")
        kind = name.rpartition("-")[2].upper()
        raise Refused(f"The {kind} you specified did not match the calculated checksum.", code="BadDigest")
