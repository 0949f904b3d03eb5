from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clouddeploy
from clouddeploy.errors import ModelChanged, ModelError
from clouddeploy.packaging import Artifact, Member
from clouddeploy.packaging.archive import write_archive
from clouddeploy.packaging.artifact import check_member_name
from clouddeploy.packaging.deflate import BLOCK_BYTES

ROOT = Path(clouddeploy.__file__).parent.parent
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PART = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1, max_size=70
)
NAMES = st.lists(PART, min_size=1, max_size=4).map("/".join)


def usable(name: str) -> bool:
    try:
        check_member_name(name)
    except ModelError:
        return False
    return True


def clash_free(contents: dict[str, bytes]) -> bool:
    return not any(other.startswith(f"{name}/") for name in contents for other in contents)


CONTENTS = st.dictionaries(NAMES.filter(usable), st.binary(max_size=3000), max_size=6).filter(clash_free)


def silent(done: int, total: int) -> None:
    pass


def unpacked(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}


@FEW
@given(contents=CONTENTS, order=st.randoms(use_true_random=False))
def test_the_same_members_in_any_order_give_the_same_bytes(tmp_path, contents, order):
    members = [Member.of_bytes(name, content) for name, content in contents.items()]
    first = Artifact("gzip", tuple(members)).write(tmp_path / "a.tar.gz").read_bytes()
    order.shuffle(members)
    again = Artifact("gzip", tuple(members))
    assert again.write(tmp_path / "b.tar.gz").read_bytes() == first


@FEW
@given(contents=CONTENTS)
def test_pythons_tarfile_gives_back_every_byte_under_its_name(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("out")
    artifact = Artifact("gzip", tuple(Member.of_bytes(n, c) for n, c in contents.items()))
    path = artifact.write(folder / "model.tar.gz")
    assert unpacked(path) == contents
    with tarfile.open(path) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    found = {
        p.relative_to(folder / "unpacked").as_posix(): p.read_bytes()
        for p in folder.glob("unpacked/**/*")
        if p.is_file()
    }
    assert found == contents


@FEW
@given(contents=CONTENTS, form=st.sampled_from(["gzip", "prefix"]))
def test_the_digest_tells_contents_names_and_form_apart(contents, form):
    members = tuple(Member.of_bytes(n, c) for n, c in contents.items())
    digest = Artifact(form, members).digest
    assert digest == Artifact(form, members[::-1], warnings=("x",)).digest
    assert digest != Artifact("gzip" if form == "prefix" else "prefix", members).digest
    for i, m in enumerate(members):
        others = members[:i] + members[i + 1 :]
        assert digest != Artifact(form, others).digest
        assert digest != Artifact(form, (*others, Member.of_bytes(m.name, contents[m.name] + b"x"))).digest


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1536, 3 * BLOCK_BYTES + 5])
def test_the_bytes_do_not_depend_on_the_number_of_threads(tmp_path, size):
    members = [Member.of_bytes("w", random.Random(size).randbytes(size))]
    one = write_archive(members, tmp_path / "1", report=silent, threads=1).read_bytes()
    five = write_archive(members, tmp_path / "5", report=silent, threads=5).read_bytes()
    assert one == five
    assert unpacked(tmp_path / "5") == {"w": members[0].source}


def test_the_archive_holds_no_time_owner_or_name_of_its_maker(tmp_path):
    path = Artifact("gzip", (Member.of_bytes("code/x.py", b"pass"),)).write(tmp_path / "model.tar.gz")
    assert path.read_bytes()[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    with tarfile.open(path) as archive:
        (info,) = archive.getmembers()
    assert (info.mtime, info.uid, info.gid, info.uname, info.gname, oct(info.mode)) == (
        0,
        0,
        0,
        "",
        "",
        "0o644",
    )
    assert info.isreg()


def test_the_bytes_are_the_ones_they_have_always_been(tmp_path):
    """Whoever changes them changes the archive of every model: that needs a reason."""
    members = (
        Member.of_bytes("clouddeploy.json", b"{}\n"),
        Member.of_bytes("w/é.bin", bytes(range(256)) * 9),
    )
    raw = gzip.decompress(Artifact("gzip", members).write(tmp_path / "m").read_bytes())
    assert sha256(raw).hexdigest() == "65ac1b7e94b2b21ba7df8bd899f109a628ca831f09e4f29f959dde1ba99dbf98"


def test_gnu_tar_unpacks_it_too(tmp_path):
    name = "/".join(["d" * 90, "e" * 90, "ü" * 60, "f.bin"])
    path = Artifact("gzip", (Member.of_bytes(name, b"123"),)).write(tmp_path / "model.tar.gz")
    subprocess.run(["tar", "-xzf", path, "-C", tmp_path], check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert (tmp_path / name).read_bytes() == b"123"


WRITE = """
import os, sys
from hashlib import file_digest
from pathlib import Path
from clouddeploy.packaging import Artifact, Member
os.umask(int(sys.argv[2], 8))
members = []
for path in Path(sys.argv[1]).iterdir():
    with path.open("rb") as file:
        members.append(Member(path.name, path.stat().st_size, file_digest(file, "sha256").hexdigest(), path))
artifact = Artifact("gzip", tuple({m: None for m in members}))
print(artifact.digest, artifact.write(Path(sys.argv[1]).parent / "out.tar.gz").stat().st_size)
"""


@pytest.mark.parametrize("other", [
    {"TZ": "Pacific/Auckland", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "7"},
    {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "0"},
])  # fmt: skip
def test_zone_locale_umask_hash_seed_path_date_and_file_order_do_not_change_a_byte(tmp_path, other):
    names = ["b.bin", "a.bin", "É.txt", "z" * 120]
    made = []
    for turn, environment in enumerate([{}, other]):
        folder = tmp_path / f"place-{turn}{'x' * turn * 50}" / "in"
        folder.mkdir(parents=True)
        for name in names if turn else reversed(names):
            (folder / name).write_bytes(name.encode() * 100_000)
            os.utime(folder / name, (turn * 10**9, turn * 10**9))
            (folder / name).chmod(0o600 if turn else 0o755)
        run = [sys.executable, "-c", WRITE, str(folder), "077" if turn else "000"]
        env = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
        told = subprocess.run(run, env=env, cwd=folder if turn else tmp_path, capture_output=True, check=True)
        made.append((told.stdout, (folder.parent / "out.tar.gz").read_bytes()))
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("now", "told"), [(b"other bytes", "other"), (b"short", ""), (b"the bytes and more", "")]
)
@pytest.mark.parametrize("form", ["gzip", "prefix"])
def test_a_file_that_changed_is_refused_by_name_with_both_digests(tmp_path, on_disk, form, now, told):
    member = on_disk("weights.bin", b"these bytes")
    member.source.write_bytes(now)
    with pytest.raises(ModelChanged) as error:
        Artifact(form, (Member.of_bytes("a", b"x"), member)).write(tmp_path / "out")
    for text in ("weights.bin", member.sha256, sha256(now).hexdigest()):
        assert text in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == [member.source.name]


@pytest.mark.parametrize("form", ["gzip", "prefix"])
def test_a_file_that_is_gone_is_refused(tmp_path, on_disk, form):
    member = on_disk("weights.bin", b"these bytes")
    member.source.unlink()
    with pytest.raises(ModelError, match=r"weights\.bin.*can't be read"):
        Artifact(form, (member,)).write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_regular_file_is_refused_and_nothing_hangs(tmp_path, kind):
    path = tmp_path / "odd"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path("/dev/zero")
    with pytest.raises(ModelError, match="no regular file"):
        Artifact("gzip", (Member("w", 5, "0" * 64, path),)).write(tmp_path / "out")


ABSOLUTE = ["/etc/passwd", "C:\\x", "C:x"]
CLIMBING = ["../x", "a/../../x", "a/.."]
ODD = ["", " ", "a//b", "a/./b", "a/", "a\\b", "a\0b", "a\nb", "x" * 256, "a/\ud800"]


@pytest.mark.parametrize("name", ABSOLUTE + CLIMBING + ODD)
def test_a_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(ModelError, match="can't be packed"):
        Member.of_bytes(name, b"")


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a", "a-b", "a/b/c")])
def test_two_members_that_want_one_place_are_refused(names):
    with pytest.raises(ModelError, match="clashes"):
        Artifact("prefix", tuple(Member.of_bytes(n, n.encode()) for n in names))


def test_a_size_that_ustar_can_not_hold_goes_into_a_pax_record(tmp_path):
    from clouddeploy.packaging import tar

    size = 9 * 2**30
    (tmp_path / "head.tar").write_bytes(tar.header("w.bin", size, 0o644))
    with tarfile.open(tmp_path / "head.tar") as archive:
        info = archive.next()
    assert (info.name, info.size) == ("w.bin", size)
