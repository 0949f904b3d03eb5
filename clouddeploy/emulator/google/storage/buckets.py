"""Methods on buckets ("Buckets", Cloud Storage JSON API)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from clouddeploy.emulator.google.storage.answers import Refusal, answer, nothing
from clouddeploy.emulator.google.storage.ask import Ask, is_bucket_name
from clouddeploy.emulator.google.storage.paging import page
from clouddeploy.emulator.google.storage.records import Bucket, merged, tag
from clouddeploy.emulator.http.message import Response

if TYPE_CHECKING:
    from clouddeploy.emulator.google.storage.service import Storage

SET_BY_SERVICE = (
    "kind", "id", "selfLink", "name", "projectNumber", "metageneration", "etag", "timeCreated", "updated",
    "locationType",
)  # fmt: skip


def number(project: str) -> str:
    """A project's number; computed, as nobody assigns one here."""
    return str(10**11 + int(hashlib.sha256(project.encode()).hexdigest()[:9], 16))


def describe(storage: Storage, bucket: Bucket) -> dict[str, Any]:
    """As the JSON API shows it."""
    return bucket.describe(storage.url(), number(bucket.project))


def given(body: dict[str, Any]) -> dict[str, Any]:
    """The fields that a bucket's owner may set.

    Raises:
        Refusal: 501, it asks for what the embedded cloud doesn't have.
    """
    if (body.get("versioning") or {}).get("enabled"):
        raise Refusal(501, "The embedded cloud keeps no noncurrent versions of objects.")
    return {name: value for name, value in body.items() if name not in SET_BY_SERVICE and value is not None}


def create(storage: Storage, ask: Ask) -> Response:
    """buckets.insert."""
    project = ask.query.get("project", "")
    if not project:
        raise Refusal(400, "Required parameter: project", reason="required")
    body = ask.json()
    name = str(body.get("name", ""))
    if not is_bucket_name(name):
        raise Refusal(400, f"Invalid bucket name: '{name}'", code="InvalidBucketName")
    return answer(describe(storage, storage.store.create(name, project, given(body))))


def get(storage: Storage, ask: Ask) -> Response:
    """buckets.get."""
    found = storage.store.bucket(ask.bucket)
    ask.conditions.check(0, found.metageneration, found.etag, reading=True)
    return answer(describe(storage, found))


def listing(storage: Storage, ask: Ask) -> Response:
    """buckets.list: a project's buckets by name."""
    project, prefix = ask.query.get("project", ""), ask.query.get("prefix", "")
    if not project:
        raise Refusal(400, "Required parameter: project", reason="required")
    mine = [b for n, b in sorted(storage.store.buckets.items()) if b.project == project]
    chosen, token = page([b for b in mine if b.name.startswith(prefix)], lambda b: b.name, ask.query)
    told: dict[str, Any] = {"kind": "storage#buckets"}
    if chosen:
        told["items"] = [describe(storage, b) for b in chosen]
    return answer({**told, "nextPageToken": token} if token else told)


def patch(storage: Storage, ask: Ask) -> Response:
    """buckets.patch and buckets.update."""
    body = ask.json()
    with storage.store.lock:
        found = storage.store.bucket(ask.bucket, "storage.buckets.update")
        ask.conditions.check(0, found.metageneration, found.etag)
        whole = ask.method == "UpdateBucket"
        kept = {"location": found.given["location"]} if "location" in found.given else {}
        wanted = {name: value for name, value in body.items() if name not in (*SET_BY_SERVICE, "location")}
        found.change({**kept, **given(wanted)} if whole else given(merged(found.given, wanted)))
        return answer(describe(storage, found))


def delete(storage: Storage, ask: Ask) -> Response:
    """buckets.delete."""
    storage.store.delete_bucket(ask.bucket, ask.conditions)
    return nothing()


def get_policy(storage: Storage, ask: Ask) -> Response:
    """buckets.getIamPolicy."""
    found = storage.store.bucket(ask.bucket, "storage.buckets.getIamPolicy")
    return answer(_policy(found))


def set_policy(storage: Storage, ask: Ask) -> Response:
    """buckets.setIamPolicy: refused when the policy has changed since it was read."""
    body = ask.json()
    with storage.store.lock:
        found = storage.store.bucket(ask.bucket, "storage.buckets.setIamPolicy")
        if body.get("etag") and body["etag"] != _policy(found)["etag"]:
            raise Refusal(412, "The specified policy etag doesn't match the current one.")
        found.policy = {"bindings": body.get("bindings", []), "version": body.get("version", 1)}
        return answer(_policy(found))


def _policy(bucket: Bucket) -> dict[str, Any]:
    told = {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{bucket.name}", "version": 1}
    serial = int(hashlib.sha256(repr(bucket.policy).encode()).hexdigest()[:12], 16)
    return {**told, **bucket.policy, "etag": tag(serial)}


def test_permissions(storage: Storage, ask: Ask) -> Response:
    """buckets.testIamPermissions: the caller has them all, unless the bucket is somebody else's."""
    storage.store.bucket(ask.bucket)
    asked = parse_qs(ask.request.query).get("permissions", [])
    held = [p for p in asked if storage.permits(ask.request, p, ask.bucket)]
    return answer({"kind": "storage#testIamPermissionsResponse", "permissions": held})
