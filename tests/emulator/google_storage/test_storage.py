"""Cloud Storage as Google's own client sees it."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import BadRequest, Conflict, Forbidden, NotFound, PreconditionFailed
from google.cloud.storage import transfer_manager
from google.cloud.storage.exceptions import DataCorruption

from clouddeploy.emulator.google.storage.digests import Digests, crc32c_slowly, joined
from tests.emulator.google_storage.conftest import ELSEWHERE, Served

LARGE = os.urandom(9 << 20)


def test_a_bucket_keeps_its_labels_and_goes_when_it_is_empty(served: Served) -> None:
    client = served.client()
    made = client.bucket("labelled")
    made.labels = {"clouddeploy-deployment": "digits"}
    client.create_bucket(made, location="europe-west1")
    found = client.get_bucket("labelled")
    assert found.labels == {"clouddeploy-deployment": "digits"}
    assert (found.location, found.location_type) == ("EUROPE-WEST1", "region")
    found.labels = {"other": "label"}
    found.patch()
    assert client.get_bucket("labelled").labels == {"other": "label"}
    assert [b.name for b in client.list_buckets()] == ["labelled"]
    found.blob("a").upload_from_string(b"1")
    with pytest.raises(Conflict, match="not empty"):
        found.delete()
    found.blob("a").delete()
    found.delete()
    assert client.lookup_bucket("labelled") is None


def test_bucket_names_are_everybodys(served: Served, bucket: Any) -> None:
    client = served.client()
    with pytest.raises(Conflict, match="you already own it"):
        client.create_bucket("models")
    with pytest.raises(Conflict, match="shared by all users"):
        served.client("another-project").create_bucket("models")
    with pytest.raises(Conflict, match="shared by all users"):
        client.create_bucket(ELSEWHERE)
    with pytest.raises(Forbidden, match=r"storage\.buckets\.get"):
        client.get_bucket(ELSEWHERE)
    with pytest.raises(BadRequest, match="Invalid bucket name"):
        client.create_bucket("goog-like")


@pytest.mark.parametrize("size", [0, 5, 9 << 20])
def test_bytes_come_back_as_they_went(bucket: Any, tmp_path: Path, size: int) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(LARGE[:size])
    blob = bucket.blob("a folder/modèl 1.bin")
    blob.metadata = {"made": "here"}
    blob.upload_from_filename(str(path), checksum="crc32c", content_type="application/x-model")
    found = bucket.get_blob("a folder/modèl 1.bin")
    assert found.size == size
    assert found.md5_hash == base64.b64encode(hashlib.md5(LARGE[:size]).digest()).decode()
    assert (found.content_type, found.metadata) == ("application/x-model", {"made": "here"})
    assert found.download_as_bytes() == LARGE[:size]
    if size:
        assert found.download_as_bytes(start=2, end=4) == LARGE[2:5]
        assert found.download_as_bytes(start=size - 1) == LARGE[size - 1 : size]


def test_a_resumable_upload_in_chunks_goes_on_where_it_was(served: Served, bucket: Any) -> None:
    start = requests.post(
        f"{served.url}/upload/storage/v1/b/models/o?uploadType=resumable&name=a",
        json={"crc32c": _crc32c(LARGE)}, timeout=10,
    )  # fmt: skip
    place, middle = start.headers["Location"], 4 << 20

    def put(data: bytes, said: str) -> requests.Response:
        return requests.put(place, data=data, headers={"Content-Range": said}, timeout=10)

    assert "Range" not in put(b"", "bytes */*").headers
    first = put(LARGE[:middle], f"bytes 0-{middle - 1}/{len(LARGE)}")
    assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{middle - 1}")
    assert put(LARGE[-5:], f"bytes {len(LARGE) - 5}-{len(LARGE) - 1}/{len(LARGE)}").status_code == 400
    assert put(b"", f"bytes */{len(LARGE)}").headers["Range"] == f"bytes=0-{middle - 1}"
    last = put(LARGE[middle - 10 :], f"bytes {middle - 10}-{len(LARGE) - 1}/{len(LARGE)}")
    assert last.status_code == 200
    assert last.json()["generation"] == put(b"", f"bytes */{len(LARGE)}").json()["generation"]
    assert bucket.blob("a").download_as_bytes() == LARGE


def test_preconditions_hold(served: Served, bucket: Any) -> None:
    blob = bucket.blob("lock.json")
    blob.upload_from_string(b"1", if_generation_match=0)
    first = blob.generation
    with pytest.raises(PreconditionFailed):
        bucket.blob("lock.json").upload_from_string(b"2", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        bucket.blob("lock.json").upload_from_string(LARGE, if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        blob.delete(if_generation_match=first + 1)
    blob.upload_from_string(b"3", if_generation_match=first)
    assert blob.generation > first
    with pytest.raises(NotFound):
        bucket.blob("lock.json", generation=first).download_as_bytes()
    address = f"{served.url}/storage/v1/b/models/o/lock.json?ifGenerationNotMatch={blob.generation}"
    assert requests.get(address, timeout=10).status_code == 304
    blob.metadata = {"a": "b"}
    blob.patch(if_metageneration_match=1)
    assert blob.metageneration == 2
    with pytest.raises(PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    blob.delete(if_generation_match=blob.generation)
    assert served.files() == 0


def test_wrong_checksums_are_refused_and_leave_nothing(served: Served, bucket: Any) -> None:
    for wrong in ({"crc32c": "AAAAAA=="}, {"md5Hash": "1B2M2Y8AsgTpgAmY7PhCfg=="}):
        body = [
            f'--b\r\ncontent-type: application/json\r\n\r\n{{"name":"a","{k}":"{v}"}}'
            for k, v in wrong.items()
        ]
        text = "\r\n".join([*body, "--b\r\ncontent-type: text/plain\r\n\r\nhello", "--b--\r\n"])
        answer = requests.post(
            f"{served.url}/upload/storage/v1/b/models/o?uploadType=multipart",
            data=text, headers={"Content-Type": 'multipart/related; boundary="b"'}, timeout=10,
        )  # fmt: skip
        assert answer.status_code == 400
        assert "doesn't match calculated" in answer.json()["error"]["message"]
    assert served.files() == 0
    assert bucket.get_blob("a") is None


def test_listings_have_pages_prefixes_and_an_order(served: Served, bucket: Any) -> None:
    for name in ("a/1", "a/2", "a/b/3", "b/4", "c"):
        bucket.blob(name).upload_from_string(b"x")
    client = served.client()
    assert [b.name for b in client.list_blobs("models", page_size=2)] == ["a/1", "a/2", "a/b/3", "b/4", "c"]
    page = client.list_blobs("models", prefix="a/", delimiter="/")
    assert [b.name for b in page] == ["a/1", "a/2"]
    assert page.prefixes == {"a/b/"}
    assert [b.name for b in client.list_blobs("models", start_offset="a/2", end_offset="b/9")] == [
        "a/2", "a/b/3", "b/4",
    ]  # fmt: skip
    with pytest.raises(NotFound, match="bucket does not exist"):
        list(client.list_blobs("nowhere"))


def test_objects_are_composed_and_copied(bucket: Any) -> None:
    parts = [bucket.blob(name) for name in "ab"]
    for blob, data in zip(parts, (b"hello ", b"world"), strict=True):
        blob.upload_from_string(data)
    whole = bucket.blob("whole")
    whole.compose(parts, if_generation_match=0)
    assert whole.download_as_bytes() == b"hello world"
    assert (whole.component_count, whole.md5_hash, whole.crc32c) == (2, None, _crc32c(b"hello world"))
    copied = bucket.copy_blob(whole, bucket, "copy")
    assert (copied.download_as_bytes(), copied.crc32c) == (b"hello world", whole.crc32c)


def test_an_upload_in_parts_by_the_transfer_manager(served: Served, bucket: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(LARGE * 2)
    blob = bucket.blob("in parts")
    transfer_manager.upload_chunks_concurrently(
        str(path), blob, chunk_size=5 << 20, worker_type=transfer_manager.THREAD, checksum="crc32c"
    )
    found = bucket.get_blob("in parts")
    assert (found.size, found.crc32c, found.md5_hash) == (2 * len(LARGE), _crc32c(LARGE * 2), None)
    assert found.download_as_bytes() == LARGE * 2
    assert served.files() == 1


def test_a_signed_url_takes_one_object_and_nothing_else(served: Served, bucket: Any) -> None:
    address = served.storage.signed_url("models", "uploads/source 1.zip")
    headers = {"Content-Type": "application/zip", "x-goog-content-length-range": "0,104857600"}
    assert requests.put(address, data=b"zip", headers=headers, timeout=10).status_code == 200
    assert bucket.get_blob("uploads/source 1.zip").content_type == "application/zip"
    with served.storage.open("models", "uploads/source 1.zip") as file:
        assert file.read() == b"zip"
    assert requests.put(address.replace("source", "other"), data=b"zip", timeout=10).status_code == 403
    assert requests.get(address, timeout=10).status_code == 403
    late = served.storage.signed_url("models", "late", expires_s=-1)
    assert "ExpiredToken" in requests.put(late, data=b"zip", timeout=10).text


def test_a_buckets_policy_is_replaced_only_as_it_was_read(served: Served, bucket: Any) -> None:
    policy = bucket.get_iam_policy(requested_policy_version=3)
    stale = policy.etag
    reader = {
        "role": "roles/storage.objectViewer",
        "members": {"serviceAccount:cd@p.iam.gserviceaccount.com"},
    }
    policy.bindings.append(reader)
    bucket.set_iam_policy(policy)
    again = bucket.get_iam_policy(requested_policy_version=3)
    assert [dict(b) for b in again.bindings] == [reader]
    again.etag = stale
    with pytest.raises(PreconditionFailed):
        bucket.set_iam_policy(again)
    assert bucket.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]


def test_who_has_no_permission_is_refused(served: Served, bucket: Any) -> None:
    served.denied.add("storage.objects.delete")
    bucket.blob("a").upload_from_string(b"1")
    with pytest.raises(Forbidden, match=r"storage\.objects\.delete"):
        bucket.blob("a").delete()


def test_a_download_in_flight_outlives_the_object(served: Served, bucket: Any) -> None:
    bucket.blob("a").upload_from_string(LARGE)
    with requests.get(f"{served.url}/models/a", stream=True, timeout=10) as answer:
        bucket.blob("a").delete()
        assert b"".join(answer.iter_content(1 << 20)) == LARGE
    assert requests.get(f"{served.url}/models/a", timeout=10).status_code == 404
    assert served.files() == 0


def test_corrupted_bytes_are_noticed_by_the_client(served: Served, bucket: Any) -> None:
    bucket.blob("a").upload_from_string(b"right")
    stored = served.storage.find("models", "a")
    assert stored is not None
    stored.path.write_bytes(b"wrong")
    with pytest.raises(DataCorruption):
        bucket.blob("a").download_as_bytes()


def test_checksums_of_pieces_join_to_that_of_the_whole() -> None:
    pieces = [LARGE[:1000], b"", LARGE[1000:1001], LARGE[1001:70_000]]
    assert joined([(_crc32c(p), len(p)) for p in pieces]) == _crc32c(b"".join(pieces))
    assert crc32c_slowly(0, b"123456789") == 0xE3069283


def _crc32c(data: bytes) -> str:
    digests = Digests(md5=False)
    digests.update(data)
    return digests.crc32c
