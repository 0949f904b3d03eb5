"""Sending bytes to the embedded Cloud Storage."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.engine.events import SCOPE, Cancelled, Scope, Stop
from clouddeploy.errors import CloudError, ModelChanged
from clouddeploy.packaging.artifact import Member, Report
from clouddeploy.packaging.source import stamp_of
from clouddeploy.providers.gcp.bucket import make_bucket
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.composite import (
    LEAST_PART_BYTES,
    compose,
    part_bytes,
    remove_parts,
    send_parts,
)
from clouddeploy.providers.gcp.content import Content
from clouddeploy.providers.gcp.resumable import Target
from clouddeploy.providers.gcp.storage_media import crc32c
from clouddeploy.providers.gcp.survey import listing
from clouddeploy.providers.gcp.upload import find, remove, send_member, send_written
from tests.unit.gcp.breaking import Losing
from tests.unit.gcp.conftest import BUCKET
from tests.unit.gcp.refusals import storage_refusal

MIB = 1 << 20
KEY = "_functions/digits/0123/function.zip"


@pytest.fixture(autouse=True)
def bucket(gcp: Gcp) -> None:
    make_bucket(gcp, BUCKET)


@dataclass(frozen=True)
class Zip:
    """An artifact of given bytes."""

    content: bytes
    digest: str = "0123"

    def write(self, out: Path, *, report: Report | None = None) -> Path:
        """Write them."""
        out.write_bytes(self.content)
        if report:
            report(len(self.content), len(self.content))
        return out


def stored(gcp: Gcp, key: str = KEY) -> bytes:
    body: bytes = gcp("storage", "DownloadObject", bucket=BUCKET, object=key)["body"]
    return body


def member(path: Path, content: bytes, *, stamped: bool = False) -> Member:
    path.write_bytes(content)
    with path.open("rb") as file:
        stamp = stamp_of(file.fileno()) if stamped else None
    return Member("model.onnx", len(content), sha256(content).hexdigest(), path, stamp=stamp)


@pytest.mark.parametrize("size", [0, 1, 8 * MIB, 8 * MIB + 1])
def test_the_bytes_arrive_under_the_generation_that_is_answered(gcp: Gcp, size: int) -> None:
    content = os.urandom(size)
    told: list[tuple[int, int]] = []
    generation = send_written(gcp, BUCKET, KEY, Zip(content), report=lambda d, t: told.append((d, t)))
    found = find(gcp, BUCKET, KEY)
    assert found is not None
    assert (found.generation, found.size, found.crc32c) == (generation, size, crc32c(content))
    assert stored(gcp) == content
    assert told[-1] == (size, size)


def test_packing_is_told_apart_from_sending(gcp: Gcp) -> None:
    building: list[int] = []
    send_written(gcp, BUCKET, KEY, Zip(b"zip"), building=lambda done, _: building.append(done))
    assert building == [3]


@pytest.mark.parametrize("size", [5, 9 * MIB])
def test_sending_what_is_there_already_writes_nothing_and_answers_its_generation(gcp: Gcp, size: int) -> None:
    content = os.urandom(size)
    first = send_written(gcp, BUCKET, KEY, Zip(content))
    assert send_written(gcp, BUCKET, KEY, Zip(content)) == first


@pytest.mark.parametrize("size", [5, 9 * MIB])
def test_other_bytes_under_the_name_are_replaced(gcp: Gcp, size: int) -> None:
    first = send_written(gcp, BUCKET, KEY, Zip(b"other"))
    content = os.urandom(size)
    assert send_written(gcp, BUCKET, KEY, Zip(content)) != first
    assert stored(gcp) == content


@pytest.mark.parametrize(
    ("size", "method"), [(5, "InsertObject"), (9 * MIB, "StartUpload"), (9 * MIB, "SendUpload")]
)
@pytest.mark.parametrize("error", [ConnectionResetError("lost"), storage_refusal(503, "backendError")])
def test_a_lost_answer_is_no_failure(gcp: Gcp, size: int, method: str, error: Exception) -> None:
    losing = Losing(gcp, method, error=error)
    content = os.urandom(size)
    generation = send_written(gcp, BUCKET, KEY, Zip(content))
    assert losing.times == 0
    found = find(gcp, BUCKET, KEY)
    assert found is not None
    assert found.generation == generation
    assert stored(gcp) == content


class Breaking:
    """Sends only the start of the body of the first uploads, and breaks the connection then."""

    def __init__(self, gcp: Gcp, times: int) -> None:
        self.inner, self.times = gcp.transport, times
        self.offsets: list[int] = []
        gcp.transport = self

    def __call__(self, service: str, method: str, params: Mapping[str, Any]) -> Any:
        if method != "SendUpload":
            return self.inner(service, method, params)
        self.offsets.append(params["offset"])
        if not self.times:
            return self.inner(service, method, params)
        self.times -= 1
        first = next(iter(params["body"]))
        size, offset = params["size"], params["offset"]
        session: Any = self.inner.session()  # type: ignore[attr-defined]
        headers = {"Content-Range": f"bytes {offset}-{offset + len(first) - 1}/{size}"}
        session.put(params["session"], data=first, headers=headers)
        raise ConnectionResetError("broken in the middle")


def test_a_broken_upload_goes_on_where_it_broke(gcp: Gcp) -> None:
    breaking = Breaking(gcp, times=2)
    content = os.urandom(9 * MIB)
    told: list[int] = []
    send_written(gcp, BUCKET, KEY, Zip(content), report=lambda done, _: told.append(done))
    assert breaking.offsets == [0, MIB, 2 * MIB]
    assert stored(gcp) == content
    assert told[-1] == 9 * MIB


def test_an_upload_that_gets_nowhere_ends(gcp: Gcp) -> None:
    inner, calls = gcp.transport, []

    def dead(service: str, method: str, params: Mapping[str, Any]) -> Any:
        calls.append(method)
        if method == "SendUpload":
            raise ConnectionResetError("broken")
        return inner(service, method, params)

    gcp.transport = dead
    with pytest.raises(CloudError, match=r"storage\.SendUpload|takes no more than 0"):
        send_written(gcp, BUCKET, KEY, Zip(bytes(9 * MIB)))
    assert calls.count("SendUpload") <= 6
    gcp.transport = inner
    assert find(gcp, BUCKET, KEY) is None


def test_a_session_that_is_gone_is_opened_anew(gcp: Gcp) -> None:
    inner, calls = gcp.transport, []

    def forgetful(service: str, method: str, params: Mapping[str, Any]) -> Any:
        calls.append(method)
        if method == "SendUpload" and calls.count(method) == 1:
            raise storage_refusal(410, "uploadFailed")
        return inner(service, method, params)

    gcp.transport = forgetful
    send_written(gcp, BUCKET, KEY, Zip(bytes(9 * MIB)))
    assert calls.count("StartUpload") == 2


def test_a_checksum_that_is_wrong_is_refused_by_the_server(gcp: Gcp) -> None:
    from clouddeploy.providers.gcp.resumable import Piece, send

    with (Path("/dev/null")).open("rb") as nothing:
        content = Content(nothing, 0)
        wrong = Piece(content, 0, 0, crc32c(b"something else"))
        generation = send(Target(gcp, BUCKET, KEY), wrong, lambda _: None)
    assert generation  # one request computes it itself, of the very bytes that it sends
    session = gcp("storage", "StartUpload", bucket=BUCKET, name="wrong", size=3, crc32c=crc32c(b"abd"))
    with pytest.raises(CloudError, match="CRC32C"):
        gcp("storage", "SendUpload", session=session["session"], body=b"abc", size=3)
    assert find(gcp, BUCKET, "wrong") is None


@pytest.mark.parametrize("stamped", [True, False])
def test_a_file_that_changed_since_the_model_was_made_is_not_sent(
    gcp: Gcp, tmp_path: Path, stamped: bool
) -> None:
    one = member(tmp_path / "model.onnx", b"weights", stamped=stamped)
    send_member(gcp, BUCKET, KEY, one)
    (tmp_path / "model.onnx").write_bytes(b"w3ights")
    with pytest.raises(ModelChanged, match=r"model\.onnx"):
        send_member(gcp, BUCKET, "second", one)
    assert find(gcp, BUCKET, "second") is None


def test_a_member_that_is_bytes_is_sent_too(gcp: Gcp) -> None:
    send_member(gcp, BUCKET, KEY, Member.of_bytes("model.json", b"{}"))
    assert stored(gcp) == b"{}"


def test_the_parts_of_a_large_object_number_32_at_most() -> None:
    assert part_bytes(100 * MIB) == LEAST_PART_BYTES
    for size in (1 << 30, (1 << 30) + 1, 5 << 40):
        assert -(-size // part_bytes(size)) <= 32


def test_a_large_object_is_composed_of_parts_and_an_interrupted_run_is_taken_up(
    gcp: Gcp, tmp_path: Path
) -> None:
    size = 2 * LEAST_PART_BYTES + 5
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(size)
        file.write(b"start")
    target = Target(gcp, BUCKET, KEY)
    with path.open("rb", buffering=0) as file:
        content = Content(file, size)
        first = send_parts(target, content, lambda *_: None, threads=2)
        watching = Losing(gcp, "none")
        again = send_parts(target, content, lambda *_: None, threads=2)
        assert again == first
        assert set(watching.calls) == {"ListObjects"}
        losing = Losing(gcp, "ComposeObject")
        generation = compose(target, again, size)
    found = find(gcp, BUCKET, KEY)
    assert losing.times == 0
    assert found is not None
    assert (found.generation, found.size) == (generation, size)
    remove_parts(gcp, BUCKET, again)
    assert set(listing(gcp, BUCKET, "") or {}) == {KEY}


def test_removing_takes_everything_below_the_prefix_and_nothing_else(gcp: Gcp) -> None:
    for key in ("_functions/digits/0/function.zip", "_functions/digits/0/part", "_functions/digits-2/0/x"):
        send_written(gcp, BUCKET, key, Zip(b"x"))
    Losing(gcp, "DeleteObject")
    remove(gcp, BUCKET, "_functions/digits/")
    assert set(listing(gcp, BUCKET, "") or {}) == {"_functions/digits-2/0/x"}
    remove(gcp, "no-such-bucket", "")


def test_an_interrupted_deploy_stops_sending(gcp: Gcp) -> None:
    stop = Stop()

    def ask(done: int, total: int) -> None:
        stop.ask()

    scope = SCOPE.set(Scope("code", "create", lambda _: None, stop))
    try:
        with pytest.raises(Cancelled):
            send_written(gcp, BUCKET, KEY, Zip(bytes(9 * MIB)), report=ask)
    finally:
        SCOPE.reset(scope)
    assert find(gcp, BUCKET, KEY) is None
    assert threading.active_count() < 50


def test_a_missing_bucket_is_told(gcp: Gcp) -> None:
    with pytest.raises(CloudError, match="bucket"):
        send_written(gcp, "no-such-bucket", KEY, Zip(b"x"))
