"""An S3 in memory, behind the seam that uploads are written against."""

from __future__ import annotations

import hashlib
import threading
from base64 import b64encode
from collections.abc import Callable, Collection
from hashlib import sha256
from typing import Any

from clouddeploy.errors import CloudError


class S3:
    """Does what the S3 API reference says of the operations in use; pages are short.

    Attributes:
        objects: key -> bytes.
        uploads: upload id -> (key, {part number: bytes}).
        calls: (operation, key or prefix) in the order in which they came.
        breaks: asked before each call with (operation, parameters); raises to refuse it.
        lost: asked after each call; raises to lose its answer.
    """

    page = 3

    def __init__(self, *, checksums_listed: bool = True) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.calls: list[tuple[str, str]] = []
        self.breaks: Callable[[str, dict[str, Any]], None] = lambda operation, params: None
        self.lost: Callable[[str, dict[str, Any]], None] = lambda operation, params: None
        self._checksums_listed = checksums_listed
        self._lock = threading.Lock()
        self._numbers = iter(range(1, 10**6))

    def __call__(self, service: str, operation: str, /, **params: Any) -> Any:
        assert service == "s3"
        self.calls.append((operation, params.get("Key") or params.get("Prefix") or ""))
        self.breaks(operation, params)
        if params.pop("Bucket") != "bucket":
            raise refused("NoSuchBucket", operation)
        with self._lock:
            answer = getattr(self, f"_{operation}")(**params)
        self.lost(operation, params)
        return answer

    def find(self, service: str, operation: str, missing: Collection[str], /, **params: Any) -> Any:
        try:
            return self(service, operation, **params)
        except CloudError as error:
            if error.code in missing:
                return None
            raise

    def count(self, operation: str) -> int:
        return sum(1 for name, _ in self.calls if name == operation)

    def _HeadObject(self, Key):
        if Key not in self.objects:
            raise refused("404", "HeadObject")
        return {"ContentLength": len(self.objects[Key])}

    def _PutObject(self, Key, Body, ChecksumSHA256, IfNoneMatch):
        assert IfNoneMatch == "*"
        if Key in self.objects:
            raise refused("PreconditionFailed", "PutObject")
        check(Body, ChecksumSHA256)
        self.objects[Key] = bytes(Body)
        return {"ETag": etag(Body)}

    def _CreateMultipartUpload(self, Key, ChecksumAlgorithm):
        assert ChecksumAlgorithm == "SHA256"
        upload_id = f"upload-{next(self._numbers)}"
        self.uploads[upload_id] = (Key, {})
        return {"UploadId": upload_id}

    def _UploadPart(self, Key, UploadId, PartNumber, Body, ChecksumSHA256):
        check(Body, ChecksumSHA256)
        self._upload(UploadId, Key, "UploadPart")[PartNumber] = bytes(Body)
        return {"ETag": etag(Body)}

    def _CompleteMultipartUpload(self, Key, UploadId, MultipartUpload):
        parts = self._upload(UploadId, Key, "CompleteMultipartUpload")
        numbers = [p["PartNumber"] for p in MultipartUpload["Parts"]]
        assert numbers == sorted(parts), "every part, in order"
        for part in MultipartUpload["Parts"]:
            assert part["ETag"] == etag(parts[part["PartNumber"]])
            check(parts[part["PartNumber"]], part["ChecksumSHA256"])
        assert all(len(parts[n]) >= 5 << 20 for n in numbers[:-1]), "EntityTooSmall"
        self.objects[Key] = b"".join(parts[n] for n in numbers)
        del self.uploads[UploadId]
        return {}

    def _AbortMultipartUpload(self, Key, UploadId):
        self._upload(UploadId, Key, "AbortMultipartUpload")
        del self.uploads[UploadId]
        return {}

    def _ListMultipartUploads(self, Prefix, KeyMarker="", UploadIdMarker=""):
        rows = sorted(
            (key, upload_id) for upload_id, (key, _) in self.uploads.items() if key.startswith(Prefix)
        )
        rows = [row for row in rows if row > (KeyMarker, UploadIdMarker)]
        page = [{"Key": key, "UploadId": upload_id} for key, upload_id in rows[: self.page]]
        more = len(rows) > self.page
        last = {"NextKeyMarker": page[-1]["Key"], "NextUploadIdMarker": page[-1]["UploadId"]} if more else {}
        return {"Uploads": page, "IsTruncated": more, **last} if page else {"IsTruncated": False}

    def _ListParts(self, Key, UploadId, PartNumberMarker=0):
        parts = self._upload(UploadId, Key, "ListParts")
        numbers = [n for n in sorted(parts) if n > PartNumberMarker]
        page = [self._row(n, parts[n]) for n in numbers[: self.page]]
        more = len(numbers) > self.page
        return {
            "Parts": page,
            "IsTruncated": more,
            **({"NextPartNumberMarker": page[-1]["PartNumber"]} if more else {}),
        }

    def _row(self, number, content):
        row = {"PartNumber": number, "Size": len(content), "ETag": etag(content)}
        return row | ({"ChecksumSHA256": checksum(content)} if self._checksums_listed else {})

    def _ListObjectsV2(self, Prefix, Delimiter="", ContinuationToken=""):
        keys = [k for k in sorted(self.objects) if k.startswith(Prefix)]
        if Delimiter:
            rolled = {Prefix + k[len(Prefix) :].split("/")[0] + "/" for k in keys if "/" in k[len(Prefix) :]}
            keys = sorted(rolled | {k for k in keys if "/" not in k[len(Prefix) :]})
        keys = [k for k in keys if k > ContinuationToken]
        page = keys[: self.page]
        more = len(keys) > self.page
        contents = [
            {"Key": k, "Size": len(self.objects[k])} for k in page if not (Delimiter and k.endswith("/"))
        ]
        common = [{"Prefix": k} for k in page if Delimiter and k.endswith("/")]
        token = {"NextContinuationToken": page[-1]} if more else {}
        return {"Contents": contents, "CommonPrefixes": common, "IsTruncated": more, **token}

    def _DeleteObjects(self, Delete):
        for row in Delete["Objects"]:
            self.objects.pop(row["Key"], None)
        return {}

    def _upload(self, upload_id, key, operation):
        found = self.uploads.get(upload_id)
        if found is None or found[0] != key:
            raise refused("NoSuchUpload", operation)
        return found[1]


def refused(code: str, operation: str) -> CloudError:
    return CloudError(f"S3 refused: {code}", code=code, operation=f"s3.{operation}")


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def checksum(content: bytes) -> str:
    return b64encode(sha256(content).digest()).decode()


def check(content: bytes, expected: str) -> None:
    if checksum(content) != expected:
        raise refused("BadDigest", "PutObject")
