"""What is stored: buckets, and one generation of an object each."""

from __future__ import annotations

import base64
import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

WRITABLE = (
    "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType", "customTime",
    "eventBasedHold", "metadata", "storageClass", "temporaryHold",
)  # fmt: skip


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as the JSON API writes a time."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def tag(*figures: int) -> str:
    """An entity tag."""
    return base64.b64encode("/".join(map(str, figures)).encode()).decode().rstrip("=")


@dataclass(frozen=True)
class Object:
    """One generation of an object.

    Args:
        bucket: its bucket's name.
        name: its own.
        path: the file that holds its bytes.
        size: in bytes.
        crc32c: in base64.
        md5: in base64; empty for composite objects, which have none.
        generation: microseconds since 1970.
        given: the fields that its owner may set.
        components: of how many objects it is composed; 0 for one that was uploaded whole.
    """

    bucket: str
    name: str
    path: Path
    size: int
    crc32c: str
    md5: str
    generation: int
    given: Mapping[str, Any] = field(default_factory=dict)
    metageneration: int = 1
    updated: float = field(default_factory=time.time)
    components: int = 0

    @property
    def etag(self) -> str:
        """Another one after each change."""
        return tag(self.generation, self.metageneration)

    @property
    def content_type(self) -> str:
        """Its media type."""
        return str(self.given.get("contentType") or "application/octet-stream")

    def changed(self, given: Mapping[str, Any]) -> Object:
        """With other metadata."""
        return replace(
            self, given=given, metageneration=self.metageneration + 1, updated=time.time()
        )  # the bytes and the generation stay

    def describe(self, url: str) -> dict[str, Any]:
        """As the JSON API shows it ("Objects", Cloud Storage JSON API)."""
        path = f"/storage/v1/b/{self.bucket}/o/{quote(self.name, safe='')}"
        created = timestamp(self.generation / 1e6)
        told: dict[str, Any] = {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "selfLink": f"{url}{path}",
            "mediaLink": f"{url}/download{path}?generation={self.generation}&alt=media",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "storageClass": "STANDARD",
            "size": str(self.size),
            "crc32c": self.crc32c,
            "etag": self.etag,
            "timeCreated": created,
            "updated": timestamp(self.updated),
            "timeStorageClassUpdated": created,
            "timeFinalized": created,
            **self.given,
        }
        if self.md5:
            told["md5Hash"] = self.md5
        if self.components:
            told["componentCount"] = self.components
        return told


@dataclass
class Bucket:
    """One bucket and the live generations of its objects.

    Args:
        name: unique among all buckets of everybody.
        project: whose it is.
        given: the fields that its owner may set.
    """

    name: str
    project: str
    given: dict[str, Any]
    created: float = field(default_factory=time.time)
    metageneration: int = 1
    updated: float = field(default_factory=time.time)
    objects: dict[str, Object] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """Another one after each change."""
        return tag(self.metageneration)

    def change(self, given: dict[str, Any]) -> None:
        """Take other fields."""
        self.given, self.updated = given, time.time()
        self.metageneration += 1

    def describe(self, url: str, number: str) -> dict[str, Any]:
        """As the JSON API shows it ("Buckets", Cloud Storage JSON API)."""
        location = str(self.given.get("location") or "US").upper()
        return {
            "kind": "storage#bucket",
            "id": self.name,
            "selfLink": f"{url}/storage/v1/b/{self.name}",
            "name": self.name,
            "projectNumber": number,
            "metageneration": str(self.metageneration),
            "etag": self.etag,
            "timeCreated": timestamp(self.created),
            "updated": timestamp(self.updated),
            "storageClass": "STANDARD",
            **self.given,
            "location": location,
            "locationType": "multi-region" if location in ("US", "EU", "ASIA") else "region",
        }


def writable(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of an object's fields, those that its owner may set."""
    return {name: given[name] for name in WRITABLE if given.get(name) is not None}


def merged(old: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`old` changed by a merge patch: null removes, objects are merged (RFC 7396)."""
    result = dict(old)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            before = result.get(name)
            result[name] = merged(before if isinstance(before, Mapping) else {}, value)
        else:
            result[name] = value
    return result
