"""Sends an artifact's bytes to S3, and takes them away again.

`aws` is the seam of `clouddeploy.providers.aws.client`. The prefix names the content, so what is
there under it is right, and sending again sends only what is missing::

    prefix = f"{name}/{artifact.digest[:32]}/"
    if not exists(aws, bucket, prefix, artifact.form):        # one HeadObject; no bucket: False
        upload(aws, bucket, prefix, artifact, report=report)  # parallel, checksummed, resumable
    model_uri(bucket, prefix, artifact.form)                  # for CreateModel
    stored(aws, bucket, f"{name}/")                           # prefixes with objects or parts of any
    remove(aws, bucket, prefix)                               # objects and unfinished uploads

In the prefix form the manifest is sent last: where it is, everything is. SageMaker takes that form
on real-time instances only: `ModelDataSource` can't be used with serverless endpoints, batch
transform or multi-model endpoints (SageMaker API reference, ContainerDefinition), so ask
`sagemaker_artifact` for ``compression="gzip"`` there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from clouddeploy.engine.waiting import check_cancelled
from clouddeploy.errors import CloudError
from clouddeploy.packaging.artifact import MANIFEST, Artifact, Form, Report
from clouddeploy.providers.aws.multipart import NO_BUCKET, Item, Progress, Seam, Sender, unfinished

ARCHIVE = "model.tar.gz"
MISSING_OBJECT = frozenset({"404", "NoSuchKey", "NotFound"}) | NO_BUCKET
DELETE_BATCH = 1000  # DeleteObjects takes so many keys (S3 API reference)


class Written(Protocol):
    """An artifact that is one file."""

    @property
    def digest(self) -> str:
        """Hash of what it holds; known before it is written."""

    def write(self, out: Path, *, report: Report | None = None) -> Path:
        """Write the file to `out`."""


def marker(prefix: str, form: Form) -> str:
    """Key of the object that is there only when all of the artifact is."""
    return prefix + (ARCHIVE if form == "gzip" else MANIFEST)


def model_uri(bucket: str, prefix: str, form: Form) -> str:
    """The S3 URI that SageMaker loads: the archive, or the prefix with its closing slash."""
    return f"s3://{bucket}/{prefix}{ARCHIVE if form == 'gzip' else ''}"


def exists(aws: Seam, bucket: str, prefix: str, form: Form) -> bool:
    """Whether the whole artifact lies under `prefix`. A missing bucket is no error."""
    found = aws.find("s3", "HeadObject", MISSING_OBJECT, Bucket=bucket, Key=marker(prefix, form))
    return found is not None


def upload(
    aws: Seam,
    bucket: str,
    prefix: str,
    artifact: Artifact,
    *,
    report: Report | None = None,
    building: Report | None = None,
    threads: int = 4,
) -> None:
    """Send `artifact` so that `exists` is true afterwards; what is there already isn't sent again.

    After a failure or Ctrl-C the parts sent so far are kept: the next run goes on from them, and
    `remove` takes them away. At most ``threads + 1`` parts of 16 MiB (more from 156 GiB on, as S3
    allows 10,000 parts) are in memory.

    Args:
        bucket: an existing bucket.
        prefix: key prefix named by the artifact's digest, with its closing slash.
        report: told ``(done, total)`` in bytes sent.
        building: told ``(done, total)`` in bytes packed, before anything is sent (gzip form).
        threads: parts sent at once.

    Raises:
        ModelChanged: a file isn't what it was when the model was made.
        CloudError: S3 refused.
    """
    with Sender(aws, bucket, threads=threads) as sender:
        if artifact.form == "prefix":
            _send_files(sender, prefix, artifact, report)
            return
        _send_archive(sender, prefix + ARCHIVE, artifact, report, building)


def send_file(
    aws: Seam,
    bucket: str,
    key: str,
    artifact: Written,
    *,
    report: Report | None = None,
    building: Report | None = None,
    threads: int = 4,
) -> None:
    """Write `artifact` and send it as the one object `key`; arguments and errors as for `upload`."""
    with Sender(aws, bucket, threads=threads) as sender:
        _send_archive(sender, key, artifact, report, building)


def _send_archive(
    sender: Sender, key: str, artifact: Written, report: Report | None, building: Report | None
) -> None:
    folder = tempfile.TemporaryDirectory(prefix="clouddeploy-")
    with folder as place, _built(artifact, Path(place) / key.rpartition("/")[2], building) as archive:
        if os.name == "posix":
            folder.cleanup()  # the open file lasts, and a process killed while sending leaves nothing
        item = Item(key, os.fstat(archive.fileno()).st_size, archive)
        sender.send([item], Progress(report, item.size))


def _built(artifact: Written, path: Path, building: Report | None) -> BinaryIO:
    return open(artifact.write(path, report=_cancellable(building)), "rb", buffering=0)


def _cancellable(building: Report | None) -> Report:
    """Packing waits for nothing, so it looks by itself whether the deploy was interrupted."""

    def told(done: int, total: int) -> None:
        check_cancelled()
        if building:
            building(done, total)

    return told


def _send_files(sender: Sender, prefix: str, artifact: Artifact, report: Report | None) -> None:
    there = {o["Key"]: o["Size"] for o in _objects(sender.aws, sender.bucket, prefix)}
    progress = Progress(report, artifact.size)
    if marker(prefix, "prefix") in there:
        progress.add(artifact.size)
        return
    items = [Item(prefix + m.name, m.size, m.source, m.sha256, m.name) for m in artifact.members]
    missing = [item for item in items if there.get(item.key) != item.size]
    progress.add(artifact.size - sum(item.size for item in missing))
    last = [item for item in missing if item.key == marker(prefix, "prefix")]
    sender.send([item for item in missing if item not in last], progress)
    sender.send(last, progress)


def remove(aws: Seam, bucket: str, prefix: str) -> None:
    """Delete every object under `prefix` and abort its unfinished uploads. Nothing there is success.

    The marker goes first, so that a removal that breaks off leaves nothing that looks whole.
    """
    for upload_ in unfinished(aws, bucket, prefix):
        key, upload_id = upload_["Key"], upload_["UploadId"]
        aws.find("s3", "AbortMultipartUpload", {"NoSuchUpload"}, Bucket=bucket, Key=key, UploadId=upload_id)
    markers = {marker(prefix, "gzip"), marker(prefix, "prefix")}
    keys = sorted((o["Key"] for o in _objects(aws, bucket, prefix)), key=lambda k: (k not in markers, k))
    for start in range(0, len(keys), DELETE_BATCH):
        batch = [{"Key": key} for key in keys[start : start + DELETE_BATCH]]
        answer = aws("s3", "DeleteObjects", Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        _refuse_partial(answer, bucket)


def _refuse_partial(answer: Mapping[str, Any], bucket: str) -> None:
    """DeleteObjects answers 200 even when it refused some of the keys."""
    errors = answer.get("Errors") or []
    if errors:
        first = errors[0]
        raise CloudError(
            f"S3 did not delete {len(errors)} objects of bucket {bucket!r}, such as {first.get('Key')!r}",
            why=f"{first.get('Code')}: {first.get('Message')}",
            fix="check the permission s3:DeleteObject, then run it again",
            code=str(first.get("Code", "")),
            operation="s3.DeleteObjects",
        )


def stored(aws: Seam, bucket: str, prefix: str) -> tuple[str, ...]:
    """The prefixes one level below `prefix` that hold objects or parts of unfinished uploads, sorted.

    Parts cost as much as objects and no listing of objects shows them.
    """
    found = {
        p["Prefix"]
        for page in _pages(aws, bucket, prefix, Delimiter="/")
        for p in page.get("CommonPrefixes", [])
    }
    for upload_ in unfinished(aws, bucket, prefix):
        inner, slash, _ = upload_["Key"][len(prefix) :].partition("/")
        if slash:
            found.add(f"{prefix}{inner}/")
    return tuple(sorted(found))


def _objects(aws: Seam, bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    for page in _pages(aws, bucket, prefix):
        yield from page.get("Contents", [])


def _pages(aws: Seam, bucket: str, prefix: str, **more: str) -> Iterator[Mapping[str, Any]]:
    token: dict[str, str] = {}
    while True:
        page = aws.find("s3", "ListObjectsV2", NO_BUCKET, Bucket=bucket, Prefix=prefix, **more, **token)
        if page is None:
            return
        yield page
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}
