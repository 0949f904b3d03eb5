"""A model's folder from S3, read once into ``/tmp`` and verified.

``/tmp`` outlives a restart of the process within one execution environment ("Lambda execution environment
lifecycle"), so what was verified there is used again.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from clouddeploy.runtime import manifest
from clouddeploy.runtime.errors import LoadError
from clouddeploy.runtime.function.model_source import MODEL_SHA256, MODEL_URI

_MISSING = {"NoSuchBucket", "NoSuchKey", "404"}
_CHUNK = 2**20


def fetch(uri: str, sha256: str, cache: Path) -> Path:
    """The folder in `cache` with the verified files of `uri`.

    Args:
        uri: ``s3://bucket/prefix``, a folder, or an object that ends in ``.tar.gz`` or ``.tgz``.
        sha256: of the object, or of a folder's listing: see `digest`.
        cache: an existing folder that can be written to.

    Raises:
        LoadError: it can't be had, or is something else than `sha256` says.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not key.strip("/"):
        raise LoadError(f"{MODEL_URI} is {uri!r}; expected s3://bucket/prefix")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise LoadError(f"{MODEL_SHA256} is {sha256!r}; {MODEL_URI} needs the 64 hex digits of its content")
    kept = cache / "clouddeploy-models" / sha256
    if (kept / manifest.NAME).is_file():
        return kept
    partial = kept.with_name(f"{sha256}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was ended half-way
    try:
        partial.mkdir(parents=True)
        found = _fetch(bucket, key, partial)
        if found != sha256:
            raise LoadError(f"{uri} has the checksum {found}; {MODEL_SHA256} says {sha256}")
        if not (partial / manifest.NAME).is_file():
            raise LoadError(f"{uri} holds no {manifest.NAME}: it is no model folder")
        partial.replace(kept)
    except OSError as error:
        raise _disk(error, cache) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return kept


def digest(folder: Path) -> str:
    """What the variable `MODEL_SHA256` must be for the files in `folder`.

    The sha256 of what ``find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum`` prints there.
    """
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            lines.append(
                f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder).as_posix()}"
            )
    ordered = sorted(lines, key=lambda line: line[66:].encode())
    return hashlib.sha256("".join(f"{line}\n" for line in ordered).encode()).hexdigest()


def _disk(error: OSError, cache: Path) -> LoadError:
    if error.errno == errno.ENOSPC:
        size = shutil.disk_usage(cache).total // 2**20
        return LoadError(f"the model does not fit in {cache} ({size} MiB): raise the ephemeral storage")
    return LoadError(f"the model can't be written to {cache}: {error}")


def _fetch(bucket: str, key: str, out: Path) -> str:
    """Read the object or the folder at `key` into `out`; its checksum."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client: Any = boto3.client("s3")
    where = f"s3://{bucket}/{key}"
    try:
        if key.endswith((".tar.gz", ".tgz")):
            return _unpack(client.get_object(Bucket=bucket, Key=key)["Body"], out)
        prefix = f"{key.rstrip('/')}/"
        names = list(_names(client, bucket, prefix))
        if not names:
            raise LoadError(f"{where} holds no object")
        for name in names:
            target = out / _safe(name, where)
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, prefix + name, str(target))
        return digest(out)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        fix = (
            "see the name and the region"
            if code in _MISSING
            else "the function's role needs s3:GetObject on it and s3:ListBucket on its bucket"
        )
        raise LoadError(f"{where} can't be read: {error}; {fix}") from error
    except BotoCoreError as error:
        raise LoadError(f"{where} can't be read: {error}") from error


def _names(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for row in page.get("Contents", ()):
            name = row["Key"].removeprefix(prefix)
            if name and not name.endswith("/"):  # what consoles make for an empty folder
                yield name


def _safe(name: str, where: str) -> str:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise LoadError(f"{where} holds the name {name!r}, which leads out of the folder")
    return name


class _Hashing:
    """A stream that keeps the checksum of what was read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size) if size >= 0 else self._stream.read()
        self.sha256.update(data)
        return data


def _unpack(stream: IO[bytes], out: Path) -> str:
    """Unpack as it comes in: a second copy would not fit in a small ``/tmp``. Nothing of it runs yet."""
    source = _Hashing(stream)
    try:
        with tarfile.open(fileobj=source, mode="r|gz") as archive:  # type: ignore[call-overload]
            archive.extractall(out, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise LoadError(f"the model's archive can't be unpacked: {error}") from error
    while source.read(_CHUNK):  # the padding after the archive's end is part of the checksum
        continue
    return source.sha256.hexdigest()
