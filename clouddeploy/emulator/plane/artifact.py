"""The model's bytes, out of the emulated S3 into an empty folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from clouddeploy.emulator.plane.environment import digest


class Objects(Protocol):
    """The part of S3 that is needed here."""

    def list(self, bucket: str, prefix: str) -> list[tuple[str, str, int]]:
        """Key, entity tag and size of each object under `prefix`; a missing bucket has none."""

    def copy(self, bucket: str, key: str, to: BinaryIO) -> None:
        """Write an object's bytes to `to`."""


class BadArtifact(Exception):
    """The model data can't be unpacked; the message is for the endpoint's failure reason."""


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key of an ``s3://`` URL."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


@dataclass(frozen=True)
class Source:
    """Where a model's data lies.

    Args:
        url: its ``s3://`` URL.
        form: ``gzip`` (a tar archive), ``prefix`` (all objects under it) or ``object`` (one, as it is).
    """

    url: str
    form: str

    @classmethod
    def of(cls, container: Mapping[str, Any]) -> Source | None:
        """The source that a container definition names, or None when it has no model data.

        CreateModel, "ModelDataUrl" and "ModelDataSource" (Amazon SageMaker API Reference).
        """
        if container.get("ModelDataUrl"):
            return cls(container["ModelDataUrl"], "gzip")
        s3 = container.get("ModelDataSource", {}).get("S3DataSource")
        if not s3:
            return None
        if s3["CompressionType"] == "Gzip":
            return cls(s3["S3Uri"], "gzip")
        return cls(s3["S3Uri"], "prefix" if s3["S3DataType"] == "S3Prefix" else "object")

    def objects(self, s3: Objects) -> list[tuple[str, str, int]]:
        """Key, entity tag and size of the objects that it consists of; none when there is no data."""
        bucket, key = split_url(self.url)
        found = s3.list(bucket, key)
        return found if self.form == "prefix" else [o for o in found if o[0] == key]

    def digest(self, s3: Objects) -> str:
        """A name for its content as it is now."""
        bucket, key = split_url(self.url)
        parts = [f"{name[len(key) :]} {tag} {size}" for name, tag, size in self.objects(s3)]
        return digest([self.form, bucket if self.form == "object" else "", *parts])


def unpack(source: Source | None, s3: Objects, folder: Path) -> None:
    """Put the model's files into the empty `folder`.

    Raises:
        BadArtifact: the data is gone, isn't an archive, or would be written outside the folder.
    """
    folder.mkdir(parents=True)
    if source is None:
        return
    objects = source.objects(s3)
    if not objects:
        raise BadArtifact(f"Could not find model data at {source.url}.")
    bucket, prefix = split_url(source.url)
    if source.form == "gzip":
        _unpack_archive(source, s3, bucket, prefix, folder)
        return
    for key, _, _ in objects:
        name = key[len(prefix) :].lstrip("/") if source.form == "prefix" else key.rsplit("/", 1)[-1]
        if key.endswith("/") or not name:
            continue
        target = (folder / name).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise BadArtifact(f"The object {key} would be written outside the model folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            s3.copy(bucket, key, file)


def _unpack_archive(source: Source, s3: Objects, bucket: str, key: str, folder: Path) -> None:
    with tempfile.TemporaryFile() as raw:
        s3.copy(bucket, key, raw)
        raw.seek(0)
        try:
            with tarfile.open(fileobj=raw, mode="r:*") as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise BadArtifact(
                f"Failed to extract model data archive from URL {source.url}. "
                f"Please ensure that the object is a valid tar.gz archive: {error}"
            ) from error


def remove(folder: Path) -> None:
    """Remove `folder` with all that is in it, read-only folders included."""
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                with contextlib.suppress(FileNotFoundError):  # a process that is ending removes its own
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
