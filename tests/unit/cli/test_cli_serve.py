"""`clouddeploy serve`: what is served, and what is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
        (["--models", "empty", "--port", "99999"], 2, "the setting port is 99999"),
        (["--models", "empty", "--name", "a/b"], 2, "the setting name is 'a/b'"),
        (["note.txt", "--workers", "0"], 2, "the setting workers is 0"),  # before the model is read
        (["note.txt", "--versions", "newest"], 2, "latest:N"),
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


FRAMEWORKS = ("torch", "numpy", "onnx")


def mapped(pid: int) -> list[str]:
    """The frameworks whose native libraries a process has mapped."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return [name for name in FRAMEWORKS if f"/{name}/" in maps]


def wait_until(condition: Callable[[], bool], *, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc")
@pytest.mark.parametrize("kind", ["torch", "onnx"])
def test_the_process_that_supervises_has_loaded_no_framework(tmp_path: Path, kind: str) -> None:
    path = weights(tmp_path, kind)
    with serving(path.name, folder=tmp_path, temporary=tmp_path / "t") as (_, process):
        assert mapped(process.pid) == []
        # The workers are there, and nothing of what read the model.
        assert len(children(process.pid)) == 1


def weights(folder: Path, kind: str) -> Path:
    import torch

    module = torch.nn.Linear(2, 1).eval()
    if kind == "torch":
        path, rows = folder / "model.pt2", ({0: torch.export.Dim("rows", min=1, max=64)},)
        torch.export.save(torch.export.export(module, (torch.zeros(2, 2),), dynamic_shapes=rows), path)
        return path
    from onnx import TensorProto, helper, save

    node = helper.make_node("Relu", ["x"], ["y"])
    inputs, outputs = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 2]) for n in ("x", "y"))
    model = helper.make_model(
        helper.make_graph([node], "relu", [inputs], [outputs]),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=9,
    )  # fmt: skip
    path = folder / "model.onnx"
    save(model, path)
    return path


@contextmanager
def reading(folder: Path, temporary: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server to be whose model is still read, and the process that reads it: 64 GiB."""
    project(folder)
    temporary.mkdir()
    large = folder / "weights" / "large.bin"
    large.touch()
    os.truncate(large, 1 << 36)  # takes no place on the disk
    process = subprocess.Popen(
        [sys.executable, "-m", "clouddeploy", "serve", "weights", "--handler", "handler.py", "--port", "0"],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[3])},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: any(large in opened(one) for one in children(process.pid)), timeout_s=60)
        (reader,) = children(process.pid)
        yield process, reader
    finally:
        process.kill()
        process.communicate(timeout=60)


def opened(pid: int) -> list[Path]:
    """The files that a process has open."""
    found = []
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found.append(one.readlink())
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    ("number", "code", "left"), [(signal.SIGINT, 130, 0), (signal.SIGTERM, 143, 0), (signal.SIGKILL, -9, 1)]
)
def test_a_signal_while_the_model_is_read_leaves_no_process_and_no_file(
    tmp_path: Path, number: signal.Signals, code: int, left: int
) -> None:
    with reading(tmp_path, tmp_path / "temporary") as (process, reader):
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        assert (process.returncode, "Traceback" in said) == (code, False), said
        wait_until(lambda: not Path(f"/proc/{reader}").exists(), timeout_s=10)
    assert len(list((tmp_path / "temporary").iterdir())) == left  # a killed process can't tidy


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")
def test_a_reader_that_dies_is_an_error_that_says_so(tmp_path: Path) -> None:
    with reading(tmp_path, tmp_path / "temporary") as (process, reader):
        os.kill(reader, signal.SIGKILL)
        said = process.communicate(timeout=60)[1]
    assert (process.returncode, "ended by SIGKILL" in said, "out of memory" in said) == (2, True, True), said
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_error_of_the_reader_is_told_as_one_of_this_process(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"PK\x05\x06" + bytes(18))
    plain = cli("serve", "model.pt2", folder=tmp_path)
    assert (plain.code, "Traceback" in plain.err) == (2, False), plain.err
    assert "model.pt2" in plain.err
    traced = cli("serve", "model.pt2", folder=tmp_path, environ={"CLOUDDEPLOY_DEBUG": "1"})
    assert "in the process that read the model" in traced.err
    assert "_write" in traced.err


def test_files_of_the_folder_dont_stand_in_for_modules(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise SystemExit(3)")
    (tmp_path / "note.txt").write_text("hello")
    done = cli("serve", "note.txt", folder=tmp_path)
    assert (done.code, "note.txt" in done.err) == (2, True), done.err


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
