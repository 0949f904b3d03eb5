"""The XML API: whole objects, and uploads in parts ("XML API multipart uploads", Cloud Storage)."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from clouddeploy.emulator.google.storage.answers import HEADERS, Refusal, document, nothing
from clouddeploy.emulator.google.storage.ask import Ask, body_of
from clouddeploy.emulator.google.storage.digests import Digests, joined, stated_in
from clouddeploy.emulator.google.storage.records import Object
from clouddeploy.emulator.google.storage.store import append
from clouddeploy.emulator.google.storage.uploads import object_name, receive, store
from clouddeploy.emulator.http.message import Response

if TYPE_CHECKING:
    from clouddeploy.emulator.google.storage.service import Storage

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MOST_PARTS = 10_000
LEAST_PART = 5 << 20
AS_FIELDS = {
    "content-type": "contentType", "cache-control": "cacheControl",
    "content-disposition": "contentDisposition", "content-encoding": "contentEncoding",
    "content-language": "contentLanguage",
}  # fmt: skip


def given(headers: Mapping[str, str]) -> dict[str, Any]:
    """The metadata that headers state."""
    found: dict[str, Any] = {field: headers[h] for h, field in AS_FIELDS.items() if headers.get(h)}
    start = "x-goog-meta-"
    own = {name[len(start) :]: value for name, value in headers.items() if name.startswith(start)}
    return {**found, "metadata": own} if own else found


def put(storage: Storage, ask: Ask) -> Response:
    """PUT of a whole object, as signed URLs are used."""
    limits = ask.headers.get("x-goog-content-length-range", "")
    if limits:
        least, _, most = limits.partition(",")
        size = int(ask.headers.get("content-length") or 0)
        if not least.isdigit() or not most.isdigit() or not int(least) <= size <= int(most):
            message = "The size of the object isn't in the range that x-goog-content-length-range allows."
            raise Refusal(400, message, code="EntityTooLarge")
    made = store(storage, ask, object_name(ask, {"name": ask.name}), given(ask.headers), body_of(ask.request))
    return Response(200, _headers(made))


def _headers(made: Object) -> list[tuple[str, str]]:
    hashes = f"crc32c={made.crc32c}" + (f",md5={made.md5}" if made.md5 else "")
    return [
        *HEADERS,
        ("ETag", f'"{made.etag}"'),
        ("x-goog-generation", str(made.generation)),
        ("x-goog-metageneration", "1"),
        ("x-goog-hash", hashes),
    ]


def begin(storage: Storage, ask: Ask) -> Response:
    """POST ``?uploads``."""
    return storage.parted.begin(storage, ask)


def put_part(storage: Storage, ask: Ask) -> Response:
    """PUT ``?partNumber=&uploadId=``."""
    return storage.parted.put(storage, ask)


def join(storage: Storage, ask: Ask) -> Response:
    """POST ``?uploadId=``."""
    return storage.parted.join(storage, ask)


def drop(storage: Storage, ask: Ask) -> Response:
    """DELETE ``?uploadId=``."""
    return storage.parted.drop(ask)


@dataclass(frozen=True)
class Part:
    """One part of an upload."""

    path: Path
    size: int
    crc32c: str
    etag: str


@dataclass
class PartedUpload:
    """An upload in parts."""

    bucket: str
    name: str
    given: dict[str, Any]
    parts: dict[int, Part] = field(default_factory=dict)


class PartedUploads:
    """The uploads in parts that are under way."""

    def __init__(self) -> None:
        self._uploads: dict[str, PartedUpload] = {}
        self._lock = threading.Lock()

    def begin(self, storage: Storage, ask: Ask) -> Response:
        """POST ``?uploads``."""
        storage.store.bucket(ask.bucket, "storage.multipartUploads.create")
        name = object_name(ask, {"name": ask.name})
        identity = secrets.token_urlsafe(32)
        self._uploads[identity] = PartedUpload(ask.bucket, name, given(ask.headers))
        inner = f"<Bucket>{ask.bucket}</Bucket><Key>{escape(name)}</Key><UploadId>{identity}</UploadId>"
        tag = "InitiateMultipartUploadResult"
        return document(f"<{tag} xmlns='{NAMESPACE}'>{inner}</{tag}>")

    def _find(self, ask: Ask) -> PartedUpload:
        found = self._uploads.get(ask.query.get("uploadId", ""))
        if found is None or (found.bucket, found.name) != (ask.bucket, ask.name):
            raise Refusal(404, "The requested upload was not found.", code="NoSuchUpload")
        return found

    def put(self, storage: Storage, ask: Ask) -> Response:
        """PUT ``?partNumber=&uploadId=``: one part, in any order."""
        upload = self._find(ask)
        text = ask.query.get("partNumber", "")
        if not text.isdigit() or not 1 <= int(text) <= MOST_PARTS:
            raise Refusal(400, f"Part number must be an integer between 1 and 10000, not {text!r}.")
        path, digests = storage.store.new_file(), Digests()
        try:
            with path.open("wb", buffering=0) as file:
                receive(body_of(ask.request), file, digests)
            digests.check(stated_in(ask.headers))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        part = Part(path, digests.size, digests.crc32c, f'"{digests.md5_hex}"')
        with self._lock:
            old = upload.parts.get(int(text))
            upload.parts[int(text)] = part
        if old is not None:
            old.path.unlink(missing_ok=True)
        hashes = f"crc32c={digests.crc32c},md5={digests.md5}"
        return Response(200, [*HEADERS, ("ETag", part.etag), ("x-goog-hash", hashes)])

    def join(self, storage: Storage, ask: Ask) -> Response:
        """POST ``?uploadId=``: the parts that are named become the object."""
        upload = self._find(ask)
        chosen = _chosen(upload, ask.body)
        storage.store.check(ask.bucket, ask.name, ask.conditions)
        with self._lock:
            self._uploads.pop(ask.query["uploadId"], None)
        path = chosen[0].path
        with path.open("r+b", buffering=0) as target:
            target.seek(0, os.SEEK_END)
            for part in chosen[1:]:
                with part.path.open("rb", buffering=0) as file:
                    append(file, target, part.size)
        _remove(upload, kept=path)
        made = storage.store.commit(
            upload.bucket, upload.name, path, size=sum(p.size for p in chosen), md5="", given=upload.given,
            crc32c=joined([(p.crc32c, p.size) for p in chosen]), conditions=ask.conditions,
            components=len(chosen),
        )  # fmt: skip
        inner = f'<Bucket>{made.bucket}</Bucket><Key>{escape(made.name)}</Key><ETag>"{made.etag}"</ETag>'
        tag = "CompleteMultipartUploadResult"
        response = document(f"<{tag} xmlns='{NAMESPACE}'>{inner}</{tag}>")
        response.headers += [h for h in _headers(made) if h not in HEADERS]
        return response

    def drop(self, ask: Ask) -> Response:
        """DELETE ``?uploadId=``: give it up."""
        upload = self._find(ask)
        with self._lock:
            self._uploads.pop(ask.query["uploadId"], None)
        _remove(upload)
        return nothing()

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            gone = list(self._uploads.values())
            self._uploads.clear()
        for upload in gone:
            _remove(upload)


def _chosen(upload: PartedUpload, body: bytes) -> list[Part]:
    try:
        root = ET.fromstring(body)
        pairs = [
            (int(_text(item, "PartNumber")), _text(item, "ETag")) for item in root if _local(item) == "Part"
        ]
    except (ET.ParseError, ValueError):
        raise Refusal(400, "The XML you provided was not well-formed.", code="MalformedXML") from None
    if not pairs or [n for n, _ in pairs] != sorted({n for n, _ in pairs}):
        raise Refusal(400, "The list of parts was not in ascending order.", code="InvalidPartOrder")
    chosen = []
    for number, etag in pairs:
        part = upload.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise Refusal(400, f"Part {number} could not be found, or its ETag differs.", code="InvalidPart")
        chosen.append(part)
    if any(part.size < LEAST_PART for part in chosen[:-1]):
        raise Refusal(400, "A part but the last is smaller than 5 MiB.", code="EntityTooSmall")
    return chosen


def _text(item: ET.Element, name: str) -> str:
    return next((child.text or "" for child in item if _local(child) == name), "").strip()


def _local(item: ET.Element) -> str:
    return item.tag.rpartition("}")[2]


def _remove(upload: PartedUpload, *, kept: Path | None = None) -> None:
    for part in upload.parts.values():
        if part.path != kept:
            part.path.unlink(missing_ok=True)
