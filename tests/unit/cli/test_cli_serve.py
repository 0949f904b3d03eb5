"""`clouddeploy serve`: what is served, and what is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from fake_deployer import cli, project

from clouddeploy.cli.serving import example, seconds
from clouddeploy.cli.session import UsageError
from clouddeploy.testing.served import SIGNATURE, write_model


@contextmanager
def serving(*arguments: str, folder: Path, temporary: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "clouddeploy", "serve", "--port", "0", *arguments],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("serving at "), line + process.communicate(timeout=60)[1]
        yield line.split()[-1], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def predicted(url: str) -> object:
    body = json.dumps({"inputs": [[1, 2]]}).encode()
    with urlopen(Request(f"{url}/predict", body, {"content-type": "application/json"}), timeout=60) as answer:
        return json.loads(answer.read())


def test_files_with_a_handler_are_packaged_for_the_while_and_served(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    project(folder)
    temporary = tmp_path / "temporary"
    arguments = ("weights", "--handler", "handler.py", "--max-delay", "1ms", "--max-batch", "8")
    with serving(*arguments, folder=folder, temporary=temporary) as (url, process):
        assert predicted(url) == {"predictions": [[2, 4]]}
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert f"curl {url}/predict" in said
    assert list(temporary.iterdir()) == []


def test_a_packaged_folder_and_a_directory_of_them_are_served_as_they_are(tmp_path: Path) -> None:
    write_model(tmp_path / "models" / "double" / "1", 1)
    with serving("models/double/1", folder=tmp_path, temporary=tmp_path / "t1") as (url, _):
        assert predicted(url) == {"predictions": [[1001.0, 1002.0]]}
    with serving("--models", "models", folder=tmp_path, temporary=tmp_path / "t2") as (url, _):
        assert predicted(url) == {"predictions": [[1001.0, 1002.0]]}


def test_the_model_of_a_configuration_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    project(folder)
    with serving(folder=folder, temporary=tmp_path / "temporary") as (url, _):
        assert predicted(url) == {"predictions": [[2, 4]]}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["gone.pt2"], 5, "there is no file or folder"),
        (["empty"], 5, "there is no model in the folder"),
        (["empty", "--models", "empty"], 2, "not both"),
        (["empty", "--max-delay", "soon"], 2, "500us, 2ms, 30s"),
        (["empty", "--set", "idle_timeout_s"], 2, "NAME=VALUE"),
        (["empty", "--set", "colour=red"], 2, "no setting 'colour'"),
        (["empty", "--set", "metrics=maybe"], 2, "true or false"),
        (["--models", "empty", "--versions", "newest"], 2, "latest:N"),
        (["--models", "empty", "--workers", "0"], 2, "1 or more"),
        (["note.txt"], 2, "note.txt"),
        (["empty", "--prot", "1"], 2, "--port"),
    ],
)
def test_what_cant_be_served_is_told_with_its_exit_code(
    tmp_path: Path, arguments: list[str], code: int, told: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("hello")
    done = cli("serve", *arguments, folder=tmp_path)
    assert (done.code, told in done.err) == (code, True), done.err


@pytest.mark.parametrize(
    ("text", "found"), [("2ms", 0.002), ("2", 0.002), ("500us", 0.0005), ("1.5s", 1.5), ("1m", 60.0)]
)
def test_times_have_units(text: str, found: float) -> None:
    assert seconds(text, "--max-delay", "ms") == pytest.approx(found)


@pytest.mark.parametrize("text", ["", "-1ms", "ms", "2 h", "1e3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        seconds(text, "--drain", "s")


def test_the_example_is_one_that_the_model_takes(tmp_path: Path) -> None:
    write_model(tmp_path / "double" / "3", 1)
    assert SIGNATURE["inputs"][0]["shape"] == [None, 2]
    assert example(tmp_path / "double" / "3") == ('{"input":[0,0]}', "/predict")
    assert example(tmp_path) == ('{"input":[0,0]}', "/predict")
    write_model(tmp_path / "other" / "1", 1)
    assert example(tmp_path) == ('{"instances":[[0,0]]}', "/v1/models/other:predict")
