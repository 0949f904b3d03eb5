"""A model's folder from S3, read once into ``/tmp`` and verified.

``/tmp`` outlives a restart of the process within one execution environment ("Lambda execution environment
lifecycle").
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from clouddeploy.runtime import manifest
from clouddeploy.runtime.errors import LoadError
from clouddeploy.runtime.function import model_cache
from clouddeploy.runtime.function.model_source import MODEL_SHA256, MODEL_URI

_MISSING = {"NoSuchBucket", "NoSuchKey", "404"}


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

    def fill(partial: Path) -> None:
        found = _fetch(bucket, key, partial)
        if found != sha256:
            raise LoadError(f"{uri} has the checksum {found}; {MODEL_SHA256} says {sha256}")
        if not (partial / manifest.NAME).is_file():
            raise LoadError(f"{uri} holds no {manifest.NAME}: it is no model folder")

    return model_cache.kept(cache, sha256, fill)


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


def _fetch(bucket: str, key: str, out: Path) -> str:
    """Read the object or the folder at `key` into `out`; its checksum."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client: Any = boto3.client("s3")
    where = f"s3://{bucket}/{key}"
    try:
        if key.endswith((".tar.gz", ".tgz")):
            return model_cache.unpack(client.get_object(Bucket=bucket, Key=key)["Body"], out)
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
