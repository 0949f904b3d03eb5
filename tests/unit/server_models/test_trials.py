"""A version that ends the process that loads it costs one worker, once; the old version stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clouddeploy.server.models.folders import Mark
from clouddeploy.server.models.trials import Trials
from clouddeploy.testing.served import Clients, ServerProcess, until, write_model

ENVIRON = {"CLOUDDEPLOY_SERVE_ADMIN_TOKEN": "trials-" + "x" * 32}
SEGFAULT = "import ctypes\n\nctypes.string_at(0)\n\n\ndef predict(x):\n    return x\n"
EXIT = "import os\n\nos._exit(3)\n\n\ndef predict(x):\n    return x\n"
STUCK = "import time\n\ntime.sleep(3600)\n\n\ndef predict(x):\n    return x\n"
MARK: Mark = (("weights", 1, 2, 3),)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_model(tmp_path / "models" / "double" / "1", 1)
    return tmp_path / "models"


def row(server: ServerProcess, version: str) -> dict[str, str]:
    headers = {"authorization": f"Bearer {ENVIRON['CLOUDDEPLOY_SERVE_ADMIN_TOKEN']}"}
    found = server.call("/v1/admin/models/double", headers=headers).body["versions"]
    return dict(found.get(version, {}))


@pytest.mark.parametrize("handler", [SEGFAULT, EXIT], ids=["segfault", "exit"])
def test_a_version_that_ends_its_process_costs_one_worker_and_the_old_one_stays(
    models: Path, handler: str
) -> None:
    with ServerProcess(models, workers=2, environ=ENVIRON) as server:
        before = server.workers()
        write_model(models / "double" / "2", 2, handler=handler)
        until(lambda: len(server.workers()) == 2 and server.workers() != before, "the dead one is replaced")
        until(lambda: all(row(server, "2").get("state") == "failed" for _ in range(8)), "all refuse it")
        assert "process ended while it loaded it" in row(server, "2")["reason"]
        assert len(server.workers() & before) == 1, "the other one lives"
        assert {server.version() for _ in range(8)} == {"1"}
        write_model(models / "double" / "2", 2)
        until(lambda: {server.version() for _ in range(8)} == {"2"}, "the mended version answers")
        assert len([line for line in server.lines if "another starts" in line]) == 1


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_a_damaged_file_of_weights_is_refused_and_the_old_version_stays(
    models: Path, tmp_path: Path, kind: str
) -> None:
    made = write_model(tmp_path / "made", 2)
    manifest = json.loads((made / "clouddeploy.json").read_text())
    del manifest["handler"]
    (made / "clouddeploy.json").write_text(json.dumps({**manifest, "format": kind, "weights": "weights"}))
    (made / "weights").write_bytes(b"PK\x03\x04\x08" + bytes(range(256)) * 20)
    with ServerProcess(models, environ=ENVIRON) as server:
        before = server.workers()
        made.rename(models / "double" / "2")
        until(lambda: row(server, "2").get("state") == "failed", "it is refused")
        assert "weights can't be loaded" in row(server, "2")["reason"]
        assert server.version() == "1"
        assert server.workers() == before


def test_a_version_that_never_is_loaded_keeps_nobody_from_serving(models: Path) -> None:
    with ServerProcess(models, workers=2, environ=ENVIRON, drain_s=1) as server:
        with Clients(server.url, 2) as clients:
            write_model(models / "double" / "2", 2, handler=STUCK)
            until(lambda: row(server, "2").get("state") == "loading", "it is tried")
            right = clients.right["1"]
            until(lambda: clients.right["1"] > right + 100, "version 1 answers")
        assert clients.wrong == []
        assert clients.right.keys() == {"1"}


def test_one_tries_the_others_wait_and_then_load_at_once(tmp_path: Path) -> None:
    one, two, three = Trials(tmp_path), Trials(tmp_path), Trials(tmp_path)
    with one.turn("m", "2", MARK, 0, first=False) as turn:
        assert turn == "ours"
        with two.turn("m", "2", MARK, 0, first=False) as other:
            assert other == "later"
        with two.turn("m", "2", MARK, 0, first=True) as other:
            assert other == "ours", "who serves nothing yet doesn't wait"
        with two.turn("m", "3", MARK, 0, first=False) as other:
            assert other == "ours", "another version"
    with two.turn("m", "2", MARK, 0, first=False) as second:
        with three.turn("m", "2", MARK, 0, first=False) as third:
            assert (second, third) == ("ours", "ours")


def test_a_try_that_was_broken_off_says_nothing_and_one_that_wasnt_ended_is_deadly(tmp_path: Path) -> None:
    trials = Trials(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        with trials.turn("m", "2", MARK, 0, first=False):
            raise KeyboardInterrupt
    with trials.turn("m", "2", MARK, 0, first=False) as turn:
        assert turn == "ours"
        (file,) = (tmp_path / "trials").iterdir()
        begun = file.read_bytes()
    file.write_bytes(begun)  # as a process leaves it that is killed
    for first in (True, False):
        with trials.turn("m", "2", MARK, 0, first=first) as turn:
            assert turn == "deadly"
    with trials.turn("m", "2", MARK, 1, first=False) as turn:
        assert turn == "ours", "somebody asked to try again"
    file.write_bytes(b"1")
    with trials.turn("m", "2", MARK, 0, first=False) as turn:
        assert turn == "ours", "what another server left says nothing"


def test_without_a_run_folder_there_is_nobody_to_wait_for() -> None:
    with Trials(Path()).turn("m", "1", MARK, 0, first=False) as turn:
        assert turn == "ours"
