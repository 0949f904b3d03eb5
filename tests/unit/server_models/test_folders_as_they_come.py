"""Folders as people and clusters put them there: slowly, broken, by links, and away while they answer."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clouddeploy.testing.served import Clients, ServerProcess, until, write_model
from tests.unit.server_models.test_versions_served import versions

SLOW = """\
import time


def predict(inputs):
    time.sleep(0.3)
    return inputs
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_model(tmp_path / "models" / "double" / "1", 1)
    return tmp_path / "models"


@pytest.fixture
def server(models: Path) -> Iterator[ServerProcess]:
    with ServerProcess(models, workers=2, settle_s=0.3) as found:
        yield found


def only(server: ServerProcess, version: str) -> None:
    until(lambda: versions(server, 12) == {version}, f"version {version} answers alone")


def files_of(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]


@pytest.mark.parametrize("last", ["manifest", "handler"])
def test_a_version_that_is_copied_slowly_is_taken_when_it_is_whole(
    server: ServerProcess, models: Path, tmp_path: Path, last: str
) -> None:
    made = write_model(tmp_path / "made", 2)
    files = files_of(made)
    name = {"manifest": "clouddeploy.json", "handler": "handler.py"}[last]
    files.sort(key=lambda path: path.name == name)
    with Clients(server.url, 2) as clients:
        for path in files:
            to = models / "double" / "2" / path.relative_to(made)
            to.parent.mkdir(parents=True, exist_ok=True)
            with to.open("wb") as file:
                for byte in range(0, len(data := path.read_bytes()), 64):
                    file.write(data[byte : byte + 64])
                    file.flush()
                    time.sleep(0.02)
        only(server, "2")
    assert clients.wrong == []
    assert not [line for line in server.lines if "can't be loaded" in line]


def test_a_copy_that_stops_halfway_is_told_and_taken_when_it_goes_on(
    server: ServerProcess, models: Path, tmp_path: Path
) -> None:
    made = write_model(tmp_path / "made", 2)
    shutil.copytree(made, models / "double" / "2", ignore=shutil.ignore_patterns("handler.py"))
    until(lambda: [line for line in server.lines if "double version 2 can't be loaded" in line], "it is told")
    assert versions(server, 8) == {"1"}
    shutil.copy(next(made.rglob("handler.py")), next((models / "double" / "2").rglob("factor.py")).parent)
    only(server, "2")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\x00\xff", b'{"version": 99}', b"null"])
def test_a_corrupt_manifest_is_told_once_and_the_version_before_stays(
    server: ServerProcess, models: Path, tmp_path: Path, text: bytes
) -> None:
    made = write_model(tmp_path / "made", 2)
    (made / "clouddeploy.json").write_bytes(text)
    made.rename(models / "double" / "2")
    until(lambda: [line for line in server.lines if "double version 2 can't be loaded" in line], "it is told")
    time.sleep(0.5)
    told = [line for line in server.lines if "double version 2 can't be loaded" in line]
    assert len(told) <= 2, "once by each worker"
    assert versions(server, 8) == {"1"}
    write_model(models / "double" / "2", 2)
    only(server, "2")


def test_a_version_that_is_removed_while_it_answers_answers_what_it_was_given(models: Path) -> None:
    write_model(models / "double" / "2", 2, handler=SLOW)
    with ServerProcess(models) as server:
        only(server, "2")
        found: list[tuple[int, str]] = []

        def ask() -> None:
            answer = server.call("/predict", {"input": [3, 4]})
            found.append((answer.status, answer.headers["x-clouddeploy-version"]))

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for one in asking:
            one.start()
        shutil.rmtree(models / "double" / "2")
        for one in asking:
            one.join()
        assert found == [(200, "2")] * 4
        only(server, "1")


def publish(volume: Path, number: int) -> None:
    """Change what a volume holds as the kubelet does: a new folder, and one link moved in a single step."""
    data = volume / f"..{number}_{time.time_ns()}"
    write_model(data / "model", number)
    (volume / "..data_tmp").symlink_to(data.name)
    old = volume / "..data"
    before = os.readlink(old) if old.is_symlink() else None
    (volume / "..data_tmp").rename(old)
    if not (volume / "1").is_symlink():
        (volume / "1").symlink_to("..data/model")
    if before is not None:
        shutil.rmtree(volume / before)


def test_a_volume_whose_links_are_swapped_is_followed(tmp_path: Path) -> None:
    volume = tmp_path / "models" / "double"
    volume.mkdir(parents=True)
    publish(volume, 1)
    with ServerProcess(tmp_path / "models", workers=2) as server, Clients(server.url, 2) as clients:
        clients._check = lambda *_: None  # type: ignore[method-assign]
        for number in (2, 3):
            publish(volume, number)
            until(lambda number=number: releases(server) == {f"release-{number}"}, "the new one answers")
    assert clients.wrong == []
    assert not [line for line in server.lines if "can't be" in line]


def releases(server: ServerProcess) -> set[str]:
    return {server.call("/predict", {"input": [1, 2]}).headers["x-clouddeploy-model"] for _ in range(8)}


def test_one_model_that_is_a_link_is_served(tmp_path: Path) -> None:
    write_model(tmp_path / "real", 1)
    (tmp_path / "link").symlink_to("real")
    with ServerProcess(tmp_path / "link") as server:
        assert releases(server) == {"release-1"}


def test_a_link_that_leads_nowhere_or_round_costs_nothing(server: ServerProcess, models: Path) -> None:
    (models / "double" / "2").symlink_to("gone")
    (models / "double" / "3").symlink_to("3")
    (models / "lost").symlink_to("gone")
    write_model(models / "double" / "4", 4)
    (models / "double" / "4" / "round").symlink_to(".")
    write_model(models / "double" / "5", 5)
    only(server, "5")
    shutil.rmtree(models / "double" / "5")
    time.sleep(0.6)
    assert server.call("/predict", {"input": [1, 2]}).status == 200
    assert server.call("/ready").status == 200


def test_a_file_that_cant_be_read_is_told_and_costs_that_version_alone(
    server: ServerProcess, models: Path, tmp_path: Path
) -> None:
    made = write_model(tmp_path / "made", 2)
    handler = next(made.rglob("handler.py"))
    handler.unlink()
    handler.symlink_to("nowhere.py")
    made.rename(models / "double" / "2")
    write_model(models / "double" / "3", 3)
    only(server, "3")
    told = "\n".join(server.lines)
    assert "Traceback (most recent call last):\n  File" not in told or "double version 2" in told


def test_the_latest_two_and_no_others_are_loaded(models: Path) -> None:
    with ServerProcess(models, versions="latest:2") as server:
        for number in (2, 3, 10):
            write_model(models / "double" / str(number), number)
        until(lambda: known(server) == {"10", "3"}, "the newest two are loaded")
        shutil.rmtree(models / "double" / "10")
        until(lambda: known(server) == {"2", "3"}, "the next one is loaded again")
        write_model(models / "double" / "11", 11, handler="raise ValueError('broken')\n")
        until(lambda: [line for line in server.lines if "version 11 can't" in line], "it is told")
        assert known(server) == {"2", "3"}


def test_the_named_versions_and_no_others_are_loaded(models: Path) -> None:
    for number in (2, 3, 4):
        write_model(models / "double" / str(number), number)
    with ServerProcess(models, versions="1,3") as server:
        assert known(server) == {"1", "3"}
        shutil.rmtree(models / "double" / "3")
        until(lambda: known(server) == {"1"}, "what is gone isn't loaded")
        write_model(models / "double" / "3", 3)
        until(lambda: known(server) == {"1", "3"}, "what is back is")


def known(server: ServerProcess) -> set[str]:
    rows = server.call("/models").body["models"]
    return {row["version"] for row in rows if row["name"] == "double"}


def test_a_label_moves_with_the_state_file_and_keeps_its_version_loaded(models: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"

    def point(version: str) -> None:
        made = tmp_path / "state.new"
        made.write_text(json.dumps({"models": {"double": {"labels": {"stable": version}}}}))
        made.rename(state)

    for number in (2, 3):
        write_model(models / "double" / str(number), number)
    point("1")
    with ServerProcess(models, state=state) as server:

        def labelled() -> str:
            answer = server.call("/models/double/labels/stable/predict", {"input": [1, 2]})
            return answer.headers.get("x-clouddeploy-version", str(answer.status))

        assert labelled() == "1"
        assert known(server) == {"1", "3"}
        point("2")
        until(lambda: labelled() == "2", "the label moved")
        until(lambda: known(server) == {"2", "3"}, "what nothing names is unloaded")
        shutil.rmtree(models / "double" / "2")
        until(lambda: labelled() == "404", "the label leads nowhere")
        point("3")
        until(lambda: labelled() == "3", "it leads somewhere again")


@pytest.mark.parametrize("to", ["nowhere", "."])
def test_a_version_with_a_link_that_leads_nowhere_or_round_is_served(models: Path, to: str) -> None:
    write_model(models / "double" / "2", 2)
    (models / "double" / "2" / "odd").symlink_to(to)
    with ServerProcess(models) as server:
        assert server.version() == "2"


def test_a_folder_that_never_rests_keeps_nobody_from_starting_and_is_told(models: Path) -> None:
    restless = write_model(models / "double" / "2", 2)
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.02):
            (restless / "log.txt").write_text(str(time.time()))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with ServerProcess(models, settle_s=0.3) as server:
            assert server.version() == "1"
            until(lambda: [line for line in server.lines if "double version 2" in line], "it is told")
            stop.set()
            only(server, "2")
    finally:
        stop.set()
        writer.join()
