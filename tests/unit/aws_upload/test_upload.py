from __future__ import annotations

import gzip
import random
import tempfile
from pathlib import Path

import pytest

from clouddeploy.errors import CloudError, ModelChanged
from clouddeploy.packaging import Artifact, Member
from clouddeploy.providers.aws.multipart import PART_BYTES, part_bytes
from clouddeploy.providers.aws.upload import exists, model_uri, remove, stored, upload
from tests.unit.aws_upload.memory_s3 import S3, refused

PREFIX = "digits/0123abc/"
BIG = 3 * PART_BYTES + 7
MANIFEST = Member.of_bytes("clouddeploy.json", b"{}")
SMALL = (MANIFEST, Member.of_bytes("code/a.py", b"pass"), Member.of_bytes("w.bin", b"12345"))


@pytest.fixture(scope="module")
def noise() -> bytes:
    """Bytes that gzip can't shrink, of three and a bit parts."""
    return random.Random(1).randbytes(BIG)


def at_call(number: int, operation: str, error: BaseException):
    """Raises `error` at the n-th call of `operation`."""
    seen = []

    def breaks(name, params):
        if name == operation:
            seen.append(name)
            if len(seen) == number:
                raise error

    return breaks


def put(s3, artifact, **options):
    upload(s3, "bucket", PREFIX, artifact, **options)


def test_a_small_archive_takes_one_call_and_is_there_afterwards(s3):
    artifact = Artifact("gzip", SMALL)
    assert not exists(s3, "bucket", PREFIX, "gzip")
    put(s3, artifact)
    assert exists(s3, "bucket", PREFIX, "gzip")
    assert [name for name, _ in s3.calls] == ["HeadObject", "PutObject", "HeadObject"]
    assert gzip.decompress(s3.objects[PREFIX + "model.tar.gz"]).startswith(b"clouddeploy.json\0")


def test_a_bucket_that_is_not_there_holds_nothing_and_needs_no_removal(s3):
    assert not exists(s3, "other", PREFIX, "gzip")
    assert stored(s3, "other", "digits/") == ()
    remove(s3, "other", PREFIX)


def test_sending_what_another_sent_meanwhile_is_success_and_writes_nothing_over(s3):
    s3.objects[PREFIX + "model.tar.gz"] = b"there already"
    put(s3, Artifact("gzip", SMALL))
    assert s3.objects[PREFIX + "model.tar.gz"] == b"there already"


def test_the_prefix_form_sends_every_file_and_the_manifest_last(s3):
    put(s3, Artifact("prefix", SMALL))
    assert s3.objects == {PREFIX + m.name: m.source for m in SMALL}
    assert s3.calls[-1] == ("PutObject", PREFIX + "clouddeploy.json")


def test_the_prefix_form_is_there_only_when_all_of_it_is(s3):
    s3.breaks = at_call(3, "PutObject", refused("AccessDenied", "PutObject"))
    with pytest.raises(CloudError, match="AccessDenied"):
        put(s3, Artifact("prefix", SMALL))
    assert len(s3.objects) == 2
    assert not exists(s3, "bucket", PREFIX, "prefix")
    before = s3.count("PutObject")
    put(s3, Artifact("prefix", SMALL))
    assert s3.count("PutObject") == before + 1, "what was there isn't sent again"
    assert exists(s3, "bucket", PREFIX, "prefix")
    s3.calls.clear()
    put(s3, Artifact("prefix", SMALL))
    assert {name for name, _ in s3.calls} == {"ListObjectsV2"}


@pytest.mark.parametrize("form", ["gzip", "prefix"])
def test_a_large_file_goes_in_parallel_parts(s3, on_disk, noise, form):
    told = []
    put(s3, Artifact(form, (MANIFEST, on_disk("w.bin", noise))), report=lambda *now: told.append(now))
    assert s3.count("UploadPart") == 4
    assert s3.uploads == {}
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    if form == "prefix":
        assert s3.objects[PREFIX + "w.bin"] == noise
    else:
        assert noise[:1000] in gzip.decompress(s3.objects[PREFIX + "model.tar.gz"])


@pytest.mark.parametrize("form", ["gzip", "prefix"])
@pytest.mark.parametrize("error", [refused("SlowDown", "UploadPart"), KeyboardInterrupt()])
@pytest.mark.parametrize("listed", [True, False], ids=["sha256 listed", "only etags listed"])
def test_a_broken_upload_goes_on_from_the_parts_that_are_there(on_disk, noise, form, error, listed):
    s3 = S3(checksums_listed=listed)
    artifact = Artifact(form, (MANIFEST, on_disk("w.bin", noise)))
    s3.breaks = at_call(3, "UploadPart", error)
    with pytest.raises(type(error)):
        put(s3, artifact, threads=1)
    ((_, parts),) = s3.uploads.values()
    assert sorted(parts) == [1, 2]
    assert not exists(s3, "bucket", PREFIX, form)
    s3.calls.clear()
    told = []
    put(s3, artifact, report=lambda *now: told.append(now))
    assert s3.count("UploadPart") == 2
    assert s3.count("CreateMultipartUpload") == 0
    assert s3.uploads == {}
    assert exists(s3, "bucket", PREFIX, form)
    assert told[-1][0] == told[-1][1]


def test_parts_of_other_bytes_are_sent_again_and_of_several_uploads_the_fullest_is_taken(s3, on_disk, noise):
    key = PREFIX + "w.bin"
    other = bytes(PART_BYTES)
    s3.uploads = {
        "empty": (key, {}),
        "full": (key, {1: noise[:PART_BYTES], 2: other, 4: noise[-7:]}),
        "foreign": (key + ".old", {1: other}),
    }
    put(s3, Artifact("prefix", (MANIFEST, on_disk("w.bin", noise))))
    assert s3.objects[key] == noise
    assert s3.count("UploadPart") == 2
    assert list(s3.uploads) == ["foreign"]


def test_a_lost_answer_to_the_last_call_is_no_failure(s3, on_disk, noise):
    """The seam asks again, and S3 says that it knows no such upload, since it is complete."""
    again = []

    def lost(operation, params):
        if operation == "CompleteMultipartUpload" and not again:
            again.append(True)
            s3("s3", operation, Bucket="bucket", **params)

    s3.lost = lost
    put(s3, Artifact("prefix", (MANIFEST, on_disk("w.bin", noise))))
    assert s3.objects[PREFIX + "w.bin"] == noise


def test_an_upload_that_somebody_aborted_is_an_error(s3, on_disk, noise):
    def aborted(operation, params):
        if operation == "CompleteMultipartUpload":
            s3.uploads.clear()

    s3.breaks = aborted
    with pytest.raises(CloudError, match="aborted by somebody else"):
        put(s3, Artifact("prefix", (MANIFEST, on_disk("w.bin", noise))))


@pytest.mark.parametrize("size", [100, BIG], ids=["small", "in parts"])
@pytest.mark.parametrize("form", ["gzip", "prefix"])
def test_a_file_that_changed_is_not_sent_as_the_old_one(s3, on_disk, noise, form, size):
    member = on_disk("w.bin", noise[:size])
    member.source.write_bytes(noise[1:size] + b"!")
    with pytest.raises(ModelChanged, match=r"w\.bin"):
        put(s3, Artifact(form, (MANIFEST, member)))
    assert s3.objects == {}
    assert s3.uploads == {}, "parts of no use are taken away"


def test_no_temporary_file_is_left_whether_it_ends_well_or_not(s3, on_disk, noise, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    artifact = Artifact("gzip", (MANIFEST, on_disk("w.bin", noise)))
    s3.breaks = at_call(2, "UploadPart", refused("AccessDenied", "UploadPart"))
    with pytest.raises(CloudError):
        put(s3, artifact)
    assert list(folder.iterdir()) == []
    put(s3, artifact)
    assert list(folder.iterdir()) == []


def test_a_process_killed_while_it_sends_leaves_no_temporary_file(s3, on_disk, noise, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    seen = []
    s3.breaks = lambda operation, params: seen.append(list(folder.iterdir()))
    put(s3, Artifact("gzip", (MANIFEST, on_disk("w.bin", noise))))
    assert seen
    assert not any(seen)


def test_removal_takes_objects_and_parts_of_its_prefix_and_nothing_else(s3):
    s3.objects = {f"{PREFIX}{n}": b"x" for n in range(7)} | {
        PREFIX + "clouddeploy.json": b"{}",
        "digits/lock.json": b"",
    }
    s3.uploads = {f"{n}": (f"{PREFIX}{n}", {1: b"x"}) for n in range(4)} | {"other": ("digits/ffff/w", {})}
    remove(s3, "bucket", PREFIX)
    assert set(s3.objects) == {"digits/lock.json"}
    assert list(s3.uploads) == ["other"]
    remove(s3, "bucket", PREFIX)


def test_a_key_that_s3_refuses_to_delete_is_an_error_though_the_call_succeeds(s3):
    s3.objects[PREFIX + "w"] = b"x"
    answer = {"Errors": [{"Key": PREFIX + "w", "Code": "AccessDenied", "Message": "no"}]}

    class Denying(S3):
        def _DeleteObjects(self, Delete):
            return answer

    denying = Denying()
    denying.objects = s3.objects
    with pytest.raises(CloudError, match="did not delete 1 objects"):
        remove(denying, "bucket", PREFIX)


def test_what_is_stored_is_found_by_objects_and_by_parts(s3):
    s3.objects = {f"digits/{n:04d}/model.tar.gz": b"x" for n in range(5)} | {
        "digits/lock.json": b"",
        "other/1/w": b"",
    }
    s3.uploads = {"u": ("digits/ffff/code/w", {}), "v": ("digits/loose", {})}
    assert stored(s3, "bucket", "digits/") == (*(f"digits/{n:04d}/" for n in range(5)), "digits/ffff/")


def test_the_uri_is_the_archive_or_the_prefix_with_its_slash():
    assert model_uri("b", "d/1/", "gzip") == "s3://b/d/1/model.tar.gz"
    assert model_uri("b", "d/1/", "prefix") == "s3://b/d/1/"


@pytest.mark.parametrize("size", [PART_BYTES + 1, 10_000 * PART_BYTES, 10_000 * PART_BYTES + 1, 5 << 40])
def test_no_object_takes_more_than_ten_thousand_parts(size):
    step = part_bytes(size)
    assert -(-size // step) <= 10_000
    assert PART_BYTES <= step <= 5 << 30
    assert step % (1 << 20) == 0


def test_only_a_few_parts_are_in_memory_at_once(s3, tmp_path):
    """A call holds its body until it returns, so the bodies under way are what is in memory."""
    size = 12 * PART_BYTES
    path = Path(tmp_path / "w")
    with path.open("wb") as file:
        file.truncate(size)
    from hashlib import sha256

    digest = sha256(bytes(PART_BYTES) * 12).hexdigest()
    running, most = set(), []

    def begin(operation, params):
        if operation == "UploadPart":
            running.add(params["PartNumber"])
            most.append(len(running))

    def end(operation, params):
        running.discard(params.get("PartNumber"))

    s3.breaks, s3.lost = begin, end
    put(s3, Artifact("prefix", (MANIFEST, Member("w", size, digest, path))), threads=3)
    assert max(most) <= 3
    assert s3.count("UploadPart") == 12


def calls_of_a_whole_upload(form, member) -> int:
    s3 = S3()
    put(s3, Artifact(form, (MANIFEST, member)), threads=1)
    return len(s3.calls)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("form", ["gzip", "prefix"])
def test_a_fault_at_any_call_leaves_what_can_be_finished_and_what_can_be_taken_away(
    on_disk, noise, form, when
):
    member = on_disk("w.bin", noise[: PART_BYTES + 5])
    artifact = Artifact(form, (MANIFEST, member))
    for number in range(1, calls_of_a_whole_upload(form, member) + 1):
        s3 = S3()

        def breaks(operation, params, s3=s3, number=number):
            if len(s3.calls) == number:
                raise refused("InternalError", operation)

        setattr(s3, "breaks" if when == "before" else "lost", breaks)
        with pytest.raises(CloudError, match="InternalError"):
            put(s3, artifact, threads=1)
        whole = S3()
        whole.objects, whole.uploads = (
            dict(s3.objects),
            {k: (key, dict(p)) for k, (key, p) in s3.uploads.items()},
        )
        put(whole, artifact)
        assert exists(whole, "bucket", PREFIX, form)
        assert whole.uploads == {}
        broken = S3()
        broken.objects, broken.uploads = s3.objects, s3.uploads
        remove(broken, "bucket", PREFIX)
        assert (broken.objects, broken.uploads) == ({}, {})
