from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

import clouddeploy
from clouddeploy.errors import ModelError, SpecError
from clouddeploy.packaging import Artifact, Member
from clouddeploy.packaging.source import stamp_of

ROOT = Path(clouddeploy.__file__).parent.parent
FORMS = pytest.mark.parametrize("form", ["gzip", "prefix"])


def run(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_prefix_form_is_a_folder_of_the_same_files(tmp_path, on_disk):
    content = os.urandom(3 << 20)
    members = (
        on_disk("w/1.bin", content),
        Member.of_bytes("clouddeploy.json", b"{}"),
        on_disk("w/empty", b""),
    )
    out = Artifact("prefix", members).write(tmp_path / "out")
    assert {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()} == {
        "w/1.bin": content, "clouddeploy.json": b"{}", "w/empty": b"",
    }  # fmt: skip
    assert {oct(p.stat().st_mode & 0o777) for p in out.rglob("*.*")} == {"0o644"}


@FORMS
def test_progress_is_told_in_bytes_up_to_the_whole(tmp_path, on_disk, form):
    told = []
    members = (on_disk("a", bytes(5 << 20)), on_disk("b", bytes(100)), Member.of_bytes("c", b"12345"))
    artifact = Artifact(form, members)
    artifact.write(tmp_path / "out", report=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (artifact.size, artifact.size)


def test_a_file_of_that_name_is_replaced_and_a_full_folder_is_not(tmp_path):
    member = Member.of_bytes("a", b"x")
    (tmp_path / "m.tar.gz").write_bytes(b"old")
    assert Artifact("gzip", (member,)).write(tmp_path / "m.tar.gz").read_bytes()[:2] == b"\x1f\x8b"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_bytes(b"precious")
    with pytest.raises(SpecError, match="is there already"):
        Artifact("prefix", (member,)).write(tmp_path / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert (Artifact("prefix", (member,)).write(tmp_path / "empty") / "a").read_bytes() == b"x"


@FORMS
def test_a_place_that_does_not_exist_is_a_clear_error(tmp_path, form):
    with pytest.raises(SpecError, match=r"can't write .*nowhere"):
        Artifact(form, (Member.of_bytes("a", b"x"),)).write(tmp_path / "nowhere" / "out")


@FORMS
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RuntimeError("a bug"), OSError(errno.EIO, "broken disk")]
)
def test_whatever_stops_the_writing_leaves_nothing_and_the_old_file(tmp_path, on_disk, form, error):
    member = on_disk("w", bytes(20 << 20))
    out = tmp_path / "out"
    if form == "gzip":
        out.write_bytes(b"old")

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise error

    with pytest.raises(SpecError if isinstance(error, OSError) else type(error)):
        Artifact(form, (member,)).write(out, report=stop)
    assert {p for p in tmp_path.iterdir() if p != member.source} == ({out} if form == "gzip" else set())
    assert form == "prefix" or out.read_bytes() == b"old"


LIMITED = """
import resource, sys
from pathlib import Path
from clouddeploy.errors import ModelError
from clouddeploy.packaging import Artifact, Member
import hashlib, os
path = Path(sys.argv[1])
content = path.read_bytes()
member = Member("w.bin", len(content), hashlib.sha256(content).hexdigest(), path)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    Artifact(sys.argv[2], (member,)).write(path.parent / "out")
except ModelError as error:
    print(error)
"""


@FORMS
def test_no_room_is_told_with_the_bytes_needed_and_free_and_nothing_is_left(tmp_path, form):
    source = tmp_path / "w.bin"
    source.write_bytes(os.urandom(3 << 20))
    done = run(LIMITED, source, form)
    assert "no room to write" in done.stdout, done.stderr
    assert "3,14" in done.stdout
    assert "bytes are free" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["w.bin"]


SMALL_DISK = """
mount -t tmpfs -o size=2m tmpfs "$1" || exit 77
"$2" -c "$3" "$4" "$1" "$5"
status=$?
ls -A "$1"
exit $status
"""
FILL = """
import sys
from hashlib import sha256
from pathlib import Path
from clouddeploy.errors import ModelError
from clouddeploy.packaging import Artifact, Member
content = Path(sys.argv[1]).read_bytes()
member = Member("w.bin", len(content), sha256(content).hexdigest(), Path(sys.argv[1]))
try:
    Artifact(sys.argv[3], (member,)).write(Path(sys.argv[2]) / "out")
except ModelError as error:
    print(error.what, flush=True)
"""


@FORMS
def test_a_disk_that_fills_up_is_told_and_nothing_is_left_on_it(tmp_path, form):
    source, disk = tmp_path / "w.bin", tmp_path / "disk"
    source.write_bytes(os.urandom(3 << 20))
    disk.mkdir()
    if not shutil.which("unshare"):
        pytest.skip("a small disk can't be mounted here: no unshare")
    command = ["unshare", "--mount", "sh", "-c", SMALL_DISK, "sh", disk, sys.executable, FILL, source, form]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode in (1, 77) and not done.stdout:
        pytest.skip("a small disk can't be mounted here: not permitted")
    (told,) = done.stdout.splitlines()
    assert told.startswith("no room to write"), done.stderr
    assert "bytes are free" in told


@FORMS
def test_a_disk_that_can_not_hold_it_is_refused_before_a_byte_is_written(tmp_path, form):
    """A sparse file is larger than any disk, and even its smallest archive is."""
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.truncate(2**43)
    size = 2**43 if form == "prefix" else 2**60
    told = []
    with pytest.raises(ModelError, match=f"up to {size // 10**9:,}"[:6]) as error:
        Artifact(form, (Member("w", size, "0" * 64, source),)).write(
            tmp_path / "out", report=lambda done, total: told.append(done)
        )
    assert "no room" in str(error.value)
    assert told == []
    assert list(tmp_path.iterdir()) == [source]


def test_a_file_with_the_stamp_of_when_it_was_hashed_is_copied_and_a_touched_one_is_hashed_again(
    tmp_path, on_disk
):
    plain = on_disk("w", b"these bytes")
    with plain.source.open("rb") as file:
        stamp = stamp_of(file.fileno())
    member = Member("w", plain.size, plain.sha256, plain.source, stamp=stamp)
    assert (Artifact("prefix", (member,)).write(tmp_path / "1") / "w").read_bytes() == b"these bytes"
    os.utime(member.source, (1, 1))
    assert (Artifact("prefix", (member,)).write(tmp_path / "2") / "w").read_bytes() == b"these bytes"
    member.source.write_bytes(b"those bytes")
    with pytest.raises(ModelError, match="changed"):
        Artifact("prefix", (member,)).write(tmp_path / "3")
    assert not (tmp_path / "3").exists()
    assert plain == member, "the stamp is no part of what a member is"


SLOW = """
import sys
from pathlib import Path
from hashlib import sha256
from clouddeploy.packaging import Artifact, Member
path = Path(sys.argv[1])
digest = sha256()
for _ in range(4096):
    digest.update(bytes(1 << 20))
def told(done, total):
    if done > 1 << 20:
        print("half", flush=True)
Artifact(sys.argv[2], (Member("w", 2**32, digest.hexdigest(), path),)).write(path.parent / "out", report=told)
"""


def test_ctrl_c_in_the_middle_leaves_nothing(tmp_path):
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.truncate(2**32)
    command = [sys.executable, "-c", SLOW.replace("range(4096)", "range(0)"), str(source), "gzip"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert b"KeyboardInterrupt" in told
    assert list(tmp_path.iterdir()) == [source]


PEAK = """
import sys, hashlib
from pathlib import Path

def peak_kib():
    # not ru_maxrss, which counts the parent's memory from before the exec
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmHWM"))

bare = peak_kib()
path, form = Path(sys.argv[1]), sys.argv[2]
from clouddeploy.packaging import Artifact, Member
digest = hashlib.sha256()
for _ in range(256):
    digest.update(bytes(1 << 20))
member = Member("w", 256 << 20, digest.hexdigest(), path)
Artifact(form, (member,)).write(path.parent / "out")
print(peak_kib() - bare)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@FORMS
def test_memory_stays_under_64_mib_whatever_the_size(tmp_path, form):
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.truncate(256 << 20)
    done = run(PEAK, source, form)
    assert int(done.stdout) < 64 << 10, done.stderr


def test_where_the_kernel_can_not_copy_the_bytes_are_copied_all_the_same(tmp_path):
    """Between two file systems of different kinds copy_file_range refuses (EXDEV)."""
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    content = os.urandom(3 << 20)
    source = tmp_path / "w"
    source.write_bytes(content)
    import tempfile

    with tempfile.TemporaryDirectory(dir=other) as folder:
        member = Member("w", len(content), sha256(content).hexdigest(), source)
        assert (Artifact("prefix", (member,)).write(Path(folder) / "out") / "w").read_bytes() == content


def test_importing_packaging_loads_nothing_heavy():
    done = run(
        "import sys, clouddeploy.packaging\n"
        "print(sorted({'numpy', 'torch', 'boto3', 'isal', 'rich'} & set(sys.modules)))"
    )
    assert done.stdout.strip() == "[]", done.stderr
