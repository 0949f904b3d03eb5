"""Puts files into one bucket: small ones in a call each, large ones in parallel parts that can be resumed."""

from __future__ import annotations

import contextvars
import hashlib
import threading
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

from clouddeploy.engine.waiting import check_cancelled
from clouddeploy.errors import CloudError, ModelChanged
from clouddeploy.packaging.artifact import Report
from clouddeploy.packaging.source import changed, opened

MIB = 1 << 20
PART_BYTES = 16 * MIB  # parts are 5 MiB to 5 GiB, 10,000 at most (Amazon S3 multipart upload limits)
MOST_PARTS = 10_000
NO_BUCKET = frozenset({"NoSuchBucket"})


class Seam(Protocol):
    """What is used of `clouddeploy.providers.aws.client.Aws`."""

    def __call__(self, service: str, operation: str, /, **params: Any) -> Any:
        """Make one call and return its result."""

    def find(self, service: str, operation: str, missing: Collection[str], /, **params: Any) -> Any:
        """The same, but None when the error code is one of `missing`."""


@dataclass(frozen=True)
class Item:
    """One object to be.

    Args:
        key: its key.
        size: bytes.
        source: where they are; an open file belongs to the caller.
        sha256: what they must be, where that is known beforehand.
        name: the file's name in messages.
    """

    key: str
    size: int
    source: Path | bytes | BinaryIO
    sha256: str = ""
    name: str = ""


class Progress:
    """Counts bytes from several threads and tells them one at a time."""

    def __init__(self, report: Report | None, total: int) -> None:
        self._report, self._total, self._done = report, total, 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count `count` more bytes as done."""
        with self._lock:
            self._done += count
            if self._report:
                self._report(self._done, self._total)


class Sender:
    """A bounded crew of threads that sends items to one bucket.

    Leaving it waits for the calls under way, and starts no other after a failure or Ctrl-C.
    """

    def __init__(self, aws: Seam, bucket: str, *, threads: int) -> None:
        self.aws, self.bucket = aws, bucket
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="s3-upload")
        self._running: set[Future[None]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def send(self, items: Iterable[Item], progress: Progress) -> None:
        """Send every item, and return when all are there."""
        for item in items:
            if item.size > PART_BYTES:
                self._send_parts(item, progress)
            else:
                self._start(self._put, item, progress)
        self._settle(0)

    def _start(self, work: Callable[..., None], *args: object) -> None:
        check_cancelled()
        self._settle(self._threads - 1)
        context = contextvars.copy_context()  # the engine's cancel and deadline reach the seam's retries
        self._running.add(self._pool.submit(context.run, work, *args))

    def _settle(self, most: int) -> None:
        while len(self._running) > most:
            done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()

    def _put(self, item: Item, progress: Progress) -> None:
        with _opened(item) as file:
            content = _read(file, PART_BYTES + 1)
        found = hashlib.sha256(content)
        if item.sha256 and found.hexdigest() != item.sha256:
            raise _changed(item)
        # "*": an object that a running endpoint may be loading is never written over; 412 means it is there
        checksum = b64encode(found.digest()).decode()
        target = {"Bucket": self.bucket, "Key": item.key, "IfNoneMatch": "*"}
        self.aws.find(
            "s3", "PutObject", {"PreconditionFailed"}, **target, Body=content, ChecksumSHA256=checksum
        )
        progress.add(item.size)

    def _send_parts(self, item: Item, progress: Progress) -> None:
        self._settle(0)
        upload_id, there = self._resumed(item) or (self._begun(item), {})
        sent: dict[int, dict[str, Any]] = {}
        whole = hashlib.sha256()
        for number, content in enumerate(_parts(item), start=1):
            whole.update(content)
            checksum = b64encode(hashlib.sha256(content).digest()).decode()
            known = there.get(number)
            if known and _same(known, content, checksum):
                sent[number] = {"PartNumber": number, "ETag": known["ETag"], "ChecksumSHA256": checksum}
                progress.add(len(content))
            else:
                self._start(self._send_part, item, upload_id, number, content, checksum, sent, progress)
        self._settle(0)
        if item.sha256 and whole.hexdigest() != item.sha256:
            self._abort(item.key, upload_id)  # its parts are of no use to anybody
            raise _changed(item)
        self._complete(item, upload_id, [sent[number] for number in sorted(sent)])

    def _begun(self, item: Item) -> str:
        answer = self.aws(
            "s3", "CreateMultipartUpload", Bucket=self.bucket, Key=item.key, ChecksumAlgorithm="SHA256"
        )
        return str(answer["UploadId"])

    def _resumed(self, item: Item) -> tuple[str, dict[int, Mapping[str, Any]]] | None:
        """The unfinished upload of this key that has the most parts; the others are aborted."""
        ours = [u["UploadId"] for u in unfinished(self.aws, self.bucket, item.key) if u["Key"] == item.key]
        found = [
            (upload_id, {p["PartNumber"]: p for p in self._listed(item.key, upload_id)}) for upload_id in ours
        ]
        found.sort(key=lambda pair: len(pair[1]))
        for upload_id, _ in found[:-1]:
            self._abort(item.key, upload_id)
        return found[-1] if found else None

    def _listed(self, key: str, upload_id: str) -> Iterator[Mapping[str, Any]]:
        after: dict[str, int] = {}
        while True:
            page = self.aws.find(
                "s3", "ListParts", {"NoSuchUpload"}, Bucket=self.bucket, Key=key, UploadId=upload_id, **after
            )
            if page is None:
                return
            yield from page.get("Parts", [])
            if not page.get("IsTruncated"):
                return
            after = {"PartNumberMarker": int(page["NextPartNumberMarker"])}

    def _send_part(
        self,
        item: Item,
        upload_id: str,
        number: int,
        content: bytes,
        checksum: str,
        sent: dict[int, dict[str, Any]],
        progress: Progress,
    ) -> None:
        target = {"Bucket": self.bucket, "Key": item.key, "UploadId": upload_id, "PartNumber": number}
        answer = self.aws("s3", "UploadPart", **target, Body=content, ChecksumSHA256=checksum)
        sent[number] = {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}
        progress.add(len(content))

    def _complete(self, item: Item, upload_id: str, parts: list[dict[str, Any]]) -> None:
        target = {"Bucket": self.bucket, "Key": item.key}
        answer = self.aws.find(
            "s3",
            "CompleteMultipartUpload",
            {"NoSuchUpload"},
            **target,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
        )
        # a lost answer that was asked for again finds the upload gone, because it is complete
        if (
            answer is None
            and self.aws.find("s3", "HeadObject", {"404", "NoSuchKey", "NotFound"}, **target) is None
        ):
            raise CloudError(
                f"the upload of {item.key!r} to bucket {self.bucket!r} was aborted by somebody else",
                why="S3 no longer knows its upload id, and there is no such object",
                fix="run it again",
                code="NoSuchUpload",
                operation="s3.CompleteMultipartUpload",
            )

    def _abort(self, key: str, upload_id: str) -> None:
        self.aws.find(
            "s3", "AbortMultipartUpload", {"NoSuchUpload"}, Bucket=self.bucket, Key=key, UploadId=upload_id
        )


def unfinished(aws: Seam, bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    """The multipart uploads under `prefix` that were neither completed nor aborted."""
    after: dict[str, str] = {}
    while True:
        page = aws.find("s3", "ListMultipartUploads", NO_BUCKET, Bucket=bucket, Prefix=prefix, **after)
        if page is None:
            return
        yield from page.get("Uploads", [])
        if not page.get("IsTruncated"):
            return
        after = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def part_bytes(size: int) -> int:
    """Bytes of each part of an object of `size` bytes, the last one excepted: whole MiB, 16 or more."""
    least = -(-size // MOST_PARTS)
    return max(PART_BYTES, -(-least // MIB) * MIB)


def _parts(item: Item) -> Iterator[bytes]:
    step = part_bytes(item.size)
    with _opened(item) as file:
        while content := _read(file, step):
            yield content


def _opened(item: Item) -> AbstractContextManager[BinaryIO]:
    if isinstance(item.source, Path | bytes):
        return opened(item.source, item.name)
    item.source.seek(0)
    return nullcontext(item.source)


def _changed(item: Item) -> ModelChanged:
    """The error for an item that isn't what it must be; an open file is nobody else's, so it can't change."""
    assert isinstance(item.source, Path | bytes)
    return changed(item.name, item.sha256, item.source)


def _read(file: BinaryIO, count: int) -> bytes:
    """`count` bytes, or fewer at the end only: a file system may answer with less than was asked for."""
    content = file.read(count)
    while 0 < len(content) < count and (more := file.read(count - len(content))):
        content += more
    return content


def _same(known: Mapping[str, Any], content: bytes, checksum: str) -> bool:
    """Whether S3 holds this very part: by its SHA-256, or else by its ETag where that is an MD5."""
    if known.get("Size") != len(content):
        return False
    if known.get("ChecksumSHA256"):
        return bool(known["ChecksumSHA256"] == checksum)
    return bool(known["ETag"].strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest())
