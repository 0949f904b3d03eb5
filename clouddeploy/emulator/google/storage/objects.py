"""Methods on objects, uploads left out ("Objects", Cloud Storage JSON API)."""

from __future__ import annotations

import email.utils
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.google.storage.answers import Refusal, answer, nothing
from clouddeploy.emulator.google.storage.ask import Ask
from clouddeploy.emulator.google.storage.digests import joined
from clouddeploy.emulator.google.storage.paging import page
from clouddeploy.emulator.google.storage.records import Object, merged, writable
from clouddeploy.emulator.google.storage.store import append
from clouddeploy.emulator.http.message import Response
from clouddeploy.emulator.http.streams import FilePart

if TYPE_CHECKING:
    from clouddeploy.emulator.google.storage.service import Storage

COMPOSED = 32
AS_HEADERS = {
    "cacheControl": "Cache-Control", "contentDisposition": "Content-Disposition",
    "contentEncoding": "Content-Encoding", "contentLanguage": "Content-Language",
}  # fmt: skip


def get(storage: Storage, ask: Ask) -> Response:
    """objects.get: its metadata, or with ``alt=media`` its bytes."""
    found = storage.store.find(ask.bucket, ask.name, ask.generation)
    ask.conditions.check(found.generation, found.metageneration, found.etag, reading=True)
    if ask.is_xml or ask.query.get("alt") == "media":
        return media(storage, found, ask.headers.get("range", ""))
    return answer(found.describe(storage.url()))


def media(storage: Storage, found: Object, wanted: str) -> Response:
    """An object's bytes, or a range of them.

    Raises:
        Refusal: 416, the range lies behind its end.
    """
    first, last = _range(wanted, found.size)
    hashes = [f"crc32c={found.crc32c}", *([f"md5={found.md5}"] if found.md5 else [])]
    headers = [
        ("Content-Type", found.content_type),
        ("ETag", f'"{found.etag}"'),
        ("Last-Modified", email.utils.formatdate(found.updated, usegmt=True)),
        ("Accept-Ranges", "bytes"),
        ("x-goog-generation", str(found.generation)),
        ("x-goog-metageneration", str(found.metageneration)),
        ("x-goog-hash", ",".join(hashes)),
        ("x-goog-storage-class", str(found.given.get("storageClass", "STANDARD"))),
        ("x-goog-stored-content-encoding", str(found.given.get("contentEncoding", "identity"))),
        ("x-goog-stored-content-length", str(found.size)),
    ]
    headers += [
        (header, str(found.given[field])) for field, header in AS_HEADERS.items() if field in found.given
    ]
    headers += [(f"x-goog-meta-{k}", str(v)) for k, v in (found.given.get("metadata") or {}).items()]
    status = 206 if wanted and found.size else 200
    if status == 206:
        headers.append(("Content-Range", f"bytes {first}-{last}/{found.size}"))
    part = FilePart(storage.store.open(found), first, last - first + 1)
    return Response(status, headers, file=part)


def _range(wanted: str, size: int) -> tuple[int, int]:
    """First and last byte; what isn't one range of bytes is ignored (RFC 9110, 14.2)."""
    unit, _, spec = wanted.partition("=")
    start, dash, end = spec.strip().partition("-")
    texts = [text for text in (start, end) if text]
    if unit.strip() != "bytes" or not dash or not texts or not all(t.isdigit() for t in texts) or not size:
        return 0, size - 1
    if not start:
        return max(0, size - int(end)), size - 1
    first, last = int(start), min(int(end), size - 1) if end else size - 1
    if first >= size or last < first:
        raise Refusal(416, "The requested range cannot be satisfied.")
    return first, last


def listing(storage: Storage, ask: Ask) -> Response:
    """objects.list: by name, with what follows `delimiter` folded into prefixes."""
    query = ask.query
    bucket = storage.store.bucket(ask.bucket, "storage.objects.list")
    if query.get("matchGlob"):
        raise Refusal(501, "The embedded cloud doesn't match globs.")
    with storage.store.lock:
        names = sorted(bucket.objects)
        held = dict(bucket.objects)
    begin, end = query.get("startOffset", ""), query.get("endOffset", "")
    fitting = [
        n for n in names if n.startswith(query.get("prefix", "")) and n >= begin and (not end or n < end)
    ]
    entries = sorted({_folded(name, query) for name in fitting})
    chosen, token = page(entries, lambda entry: entry, query)
    items = [held[n].describe(storage.url()) for n in chosen if n in held and not _is_prefix(n, query)]
    prefixes = [name for name in chosen if _is_prefix(name, query)]
    told = {"items": items, "prefixes": prefixes, "nextPageToken": token}
    return answer({"kind": "storage#objects", **{key: value for key, value in told.items() if value}})


def _folded(name: str, query: Mapping[str, str]) -> str:
    delimiter, start = query.get("delimiter", ""), len(query.get("prefix", ""))
    position = name.find(delimiter, start) if delimiter else -1
    return name if position < 0 else name[: position + len(delimiter)]


def _is_prefix(name: str, query: Mapping[str, str]) -> bool:
    delimiter, start = query.get("delimiter", ""), len(query.get("prefix", ""))
    return bool(delimiter) and delimiter in name[start:]


def patch(storage: Storage, ask: Ask) -> Response:
    """objects.patch and objects.update."""
    body = ask.json()
    with storage.store.lock:
        found = storage.store.find(ask.bucket, ask.name, ask.generation, "storage.objects.update")
        ask.conditions.check(found.generation, found.metageneration, found.etag)
        wanted = writable(body)
        if ask.method == "PatchObject":
            wanted = writable(merged(found.given, body))
        changed = found.changed(wanted)
        storage.store.replace(found, changed)
    return answer(changed.describe(storage.url()))


def delete(storage: Storage, ask: Ask) -> Response:
    """objects.delete."""
    storage.store.delete(ask.bucket, ask.name, ask.generation, ask.conditions)
    return nothing()


def compose(storage: Storage, ask: Ask) -> Response:
    """objects.compose: up to 32 objects of the bucket, one after another."""
    body = ask.json()
    sources = body.get("sourceObjects", [])
    if not 1 <= len(sources) <= COMPOSED:
        raise Refusal(
            400, f"The number of source components provided ({len(sources)}) exceeds the maximum (32)"
        )
    found = [_component(storage, ask.bucket, source) for source in sources]
    path = storage.store.new_file()
    with path.open("wb", buffering=0) as target:
        for one in found:
            with storage.store.open(one) as file:
                append(file, target, one.size)
    size, crc32c = sum(one.size for one in found), joined([(one.crc32c, one.size) for one in found])
    given = {"contentType": found[0].content_type, **writable(body.get("destination", {}))}
    made = storage.store.commit(
        ask.bucket, ask.name, path, size=size, crc32c=crc32c, md5="", given=given,
        conditions=ask.conditions, components=sum(max(1, one.components) for one in found),
    )  # fmt: skip
    return answer(made.describe(storage.url()))


def _component(storage: Storage, bucket: str, source: Mapping[str, Any]) -> Object:
    generation = source.get("generation")
    found = storage.store.find(bucket, str(source["name"]), int(generation) if generation else None)
    wanted = (source.get("objectPreconditions") or {}).get("ifGenerationMatch")
    if wanted is not None and int(wanted) != found.generation:
        raise Refusal(412, "At least one of the pre-conditions you specified did not hold.")
    return found


def copy(storage: Storage, ask: Ask) -> Response:
    """objects.rewrite and objects.copy, in one step."""
    _, b, bucket, o, name = (*ask.rest, "", "", "", "", "")[:5]
    if (b, o) != ("b", "o"):
        raise Refusal(404, "Not Found")
    generation = ask.query.get("sourceGeneration")
    found = storage.store.find(ask.bucket, ask.name, int(generation) if generation else None)
    path = storage.store.new_file()
    os.link(found.path, path)
    body = writable(ask.json())
    made = storage.store.commit(
        bucket, name, path, size=found.size, crc32c=found.crc32c, md5=found.md5, given=body or found.given,
        conditions=ask.conditions, components=found.components,
    )  # fmt: skip
    told = made.describe(storage.url())
    if ask.method == "CopyObject":
        return answer(told)
    size = str(found.size)
    done = {"kind": "storage#rewriteResponse", "done": True, "totalBytesRewritten": size, "objectSize": size}
    return answer({**done, "resource": told})
