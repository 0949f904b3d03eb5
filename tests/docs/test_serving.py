"""The examples of serving run, print what they promise and leave nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples in a folder of their own, with the model that `train.py` makes."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("digits", "serving"):
        shutil.copytree(
            ROOT / "examples" / name, folder / name, ignore=shutil.ignore_patterns("*.pt2", "*.npy")
        )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "train.py"], cwd=folder / "digits", env=env, check=True, capture_output=True
    )
    return folder / "serving"


def run(command: list[str], folder: Path) -> str:
    """What it prints, with a temporary folder of its own, which is empty afterwards."""
    made = folder / "tmp"
    made.mkdir()
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "TMPDIR": str(made)}
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    left = [path.name for path in made.iterdir()]
    assert [name for name in left if not name.startswith("torchinductor_")] == []  # torch's own cache
    return done.stdout


@pytest.mark.skipif(
    not os.environ.get("CLOUDDEPLOY_ALL_FAULTS"),
    reason="twenty seconds of service; make faults (CLOUDDEPLOY_ALL_FAULTS=1) runs it",
)
def test_a_model_is_served_shared_measured_scaled_and_removed(tmp_path: Path, serving: Path) -> None:
    lines = run([sys.executable, str(serving / "laptop.py")], tmp_path).splitlines()
    told = dict(line.split(": ", 1) for line in lines if ": " in line)
    assert told["a hundred requests"] == "{'probabilities': 25, 'scores': 75}"
    assert told["a load of 100/s"].startswith("100 sent, 0 failed, median ")
    assert told["copies of each release"] == "[2, 2]"
    assert told["serving again"] == "the first release"
    assert int(told["requests so far"]) >= 200
    assert told["left"] == "[]"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl isn't installed")
def test_a_model_is_asked_and_measured_from_the_shell(tmp_path: Path, serving: Path) -> None:
    ready, answer, *rest = run(["sh", str(serving / "session.sh")], tmp_path).splitlines()
    assert ready == '{"status":"ok"}'
    assert answer.startswith('{"predictions":[[')
    assert any(line.startswith("clouddeploy_requests_total") for line in rest)
    assert any(re.match(r"  answers +\S+/s, 100 requests \(200: 100\)", line) for line in rest)
