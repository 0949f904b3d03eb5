"""What a full disk takes away, and what goes on: nothing that was accepted is lost, and no worker ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clouddeploy.testing.served import ServerProcess, until, write_model

GATE = """\
import pathlib
import time


def predict(inputs):
    time.sleep(0.02)  # so that it runs in a thread
    gate = pathlib.Path(__file__).parents[3] / "gate"
    while inputs[0, 0] == 7 and not gate.exists():
        time.sleep(0.02)
    return inputs
"""
QUESTION = {"input": [1, 2]}


@dataclass
class Disk:
    """A small file system."""

    folder: Path

    def fill(self) -> None:
        """Take all the room there is."""
        with (self.folder / "fill").open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    def free(self) -> None:
        """Give it back."""
        (self.folder / "fill").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    mounted = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small file system can't be mounted here (that needs to be root)")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", 1, handler=GATE)


def job(server: ServerProcess, value: Any = QUESTION) -> Any:
    return server.call("/jobs", value)


def done(server: ServerProcess, url: str) -> Any:
    return until(
        lambda: (found := server.call(url).body)["state"] not in ("queued", "running") and found, "done"
    )


def test_predictions_go_on_jobs_are_refused_and_taken_again_when_there_is_room(
    disk: Disk, model: Path
) -> None:
    with ServerProcess(model, run_folder=disk.folder / "run", rate=1000) as server:
        workers = server.workers()
        disk.fill()
        assert server.call("/predict", QUESTION).body == {"prediction": [1.0, 2.0]}
        time.sleep(0.6)  # some looks at the models' folder
        told = [line for line in server.lines if "status of the models can't be written" in line]
        assert len(told) == 1
        refused = job(server)
        assert (refused.status, refused.body["error"]["code"]) == (503, "overloaded")
        assert "disk is full" in refused.body["error"]["message"]
        assert refused.headers["retry-after"]
        assert server.call("/metrics").status == 200
        assert server.call("/ready").status == 200
        disk.free()
        taken = until(lambda: (one := job(server)).status == 202 and one, "a job is taken")
        assert done(server, taken.body["url"])["result"] == {"prediction": [1.0, 2.0]}
        assert server.workers() == workers


def test_what_was_accepted_before_the_disk_was_full_is_done_afterwards(disk: Disk, model: Path) -> None:
    with ServerProcess(model, run_folder=disk.folder / "run") as server:
        # More than one worker works on at once, so that of some not even the beginning can be noted.
        urls = [job(server, {"input": [7, number]}).body["url"] for number in range(12)]
        until(lambda: server.call(urls[0]).body["state"] == "running", "it runs")
        disk.fill()
        (model.parent / "gate").touch()
        until(lambda: any("can't be worked on" in line for line in server.lines), "it is told")
        disk.free()
        assert [done(server, url).get("result") for url in urls] == [
            {"prediction": [7.0, float(number)]} for number in range(12)
        ]
        told = [line for line in server.lines if "can't be worked on" in line]
        assert len(told) < 100, "it is tried again without end"


def test_rates_that_have_no_room_are_refused_at_the_start(disk: Disk, model: Path) -> None:
    (disk.folder / "run").mkdir()
    disk.fill()
    with ServerProcess(model, ready=False, run_folder=disk.folder / "run", rate=10) as server:
        assert server.process.wait(60) == 2
        until(lambda: any("fix: make room" in line for line in server.lines), "the reason is told")


def test_a_log_that_has_no_room_costs_its_lines_alone(model: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    with ServerProcess(model, access_log=True, access_log_file="/dev/full") as server:
        for _ in range(5):
            assert server.call("/predict", QUESTION).body == {"prediction": [1.0, 2.0]}
        until(lambda: b"dropped_lines_total 5" in server.call("/metrics").body, "lost lines are counted")
        assert any("the access log can't be written" in line for line in server.lines)
