"""The zip writer: reproducible bytes, whole or nothing."""

from __future__ import annotations

import io
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clouddeploy.errors import ModelChanged, ModelError
from clouddeploy.packaging import Artifact, Member
from clouddeploy.packaging.zip_archive import BLOCK_BYTES, write_zip

contents = st.dictionaries(
    st.from_regex(r"[a-zé_]{1,8}(/[a-z0-9]{1,8}){0,2}\.x", fullmatch=True),
    st.binary(max_size=3000),
    max_size=8,
)


def written(artifact: Artifact, out: Path) -> bytes:
    return artifact.write(out).read_bytes()


@given(contents)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_packed_is_what_the_standard_library_unpacks(tmp_path: Path, files: dict[str, bytes]) -> None:
    artifact = Artifact("zip", tuple(Member.of_bytes(name, data) for name, data in files.items()))
    with zipfile.ZipFile(artifact.write(tmp_path / "a.zip")) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert archive.namelist() == sorted(files, key=str.encode)
        assert {one.date_time for one in archive.infolist()} <= {(1980, 1, 1, 0, 0, 0)}


def test_a_file_larger_than_a_block_is_whole_and_the_threads_dont_show(tmp_path: Path) -> None:
    data = bytes(range(256)) * (BLOCK_BYTES // 100) + b"end"
    members = (Member.of_bytes("big", data), Member.of_bytes("exact", data[: 2 * BLOCK_BYTES]))
    several = [
        write_zip(members, tmp_path / f"{threads}.zip", report=lambda done, total: None, threads=threads)
        for threads in (1, 3)
    ]
    first, second = (path.read_bytes() for path in several)
    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert archive.read("big") == data
        assert archive.read("exact") == data[: 2 * BLOCK_BYTES]


def test_modes_are_kept_and_nothing_else_of_this_machine(tmp_path: Path) -> None:
    run = b"#!/bin/sh\n"
    members = (
        Member("run", len(run), sha256(run).hexdigest(), run, 0o755),
        Member.of_bytes("text", b"text"),
    )
    with zipfile.ZipFile(Artifact("zip", members).write(tmp_path / "a.zip")) as archive:
        attributes = {one.filename: one.external_attr >> 16 for one in archive.infolist()}
        assert attributes == {"run": 0o100755, "text": 0o100644}
        assert all(one.extra == b"" and one.comment == b"" for one in archive.infolist())


def test_the_order_of_the_members_and_the_day_change_no_byte(tmp_path: Path) -> None:
    members = [Member.of_bytes(name, name.encode() * 50) for name in ("b", "a/c", "a/b")]
    one = written(Artifact("zip", tuple(members)), tmp_path / "one.zip")
    other = written(Artifact("zip", tuple(reversed(members))), tmp_path / "other.zip")
    assert one == other


def test_a_file_that_changed_leaves_no_zip(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"before")
    member = Member("weights", 6, sha256(b"before").hexdigest(), path)
    path.write_bytes(b"after!")
    with pytest.raises(ModelChanged, match="'weights' changed"):
        Artifact("zip", (member,)).write(tmp_path / "a.zip")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["weights"]


def test_more_files_than_the_format_counts_are_refused(tmp_path: Path) -> None:
    members = [Member.of_bytes(str(number), b"") for number in range(0x10000)]
    with pytest.raises(ModelError, match="65,536 files"):
        write_zip(members, tmp_path / "a.zip", report=lambda done, total: None)


def test_progress_is_told_in_bytes_of_the_whole(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    members = (Member.of_bytes("a", b"1" * 10), Member.of_bytes("b", b"2" * 5))
    Artifact("zip", members).write(tmp_path / "a.zip", report=lambda *one: told.append(one))
    assert told == [(10, 15), (15, 15)]
