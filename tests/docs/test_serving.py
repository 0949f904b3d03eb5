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
SERVING = ROOT / "examples" / "serving"


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


def test_a_model_is_served_shared_measured_scaled_and_removed(tmp_path: Path) -> None:
    lines = run([sys.executable, str(SERVING / "laptop.py")], tmp_path).splitlines()
    told = dict(line.split(": ", 1) for line in lines if ": " in line)
    assert told["a hundred requests"] == "{'probabilities': 25, 'scores': 75}"
    assert told["a load of 100/s"].startswith("100 sent, 0 failed, median ")
    assert told["copies of each release"] == "[2, 2]"
    assert told["serving again"] == "the first release"
    assert int(told["requests so far"]) >= 200
    assert told["left"] == "[]"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl isn't installed")
def test_a_model_is_asked_and_measured_from_the_shell(tmp_path: Path) -> None:
    ready, answer, *rest = run(["sh", str(SERVING / "session.sh")], tmp_path).splitlines()
    assert ready == '{"status":"ok"}'
    assert answer.startswith('{"predictions":[[')
    assert any(line.startswith("clouddeploy_requests_total") for line in rest)
    assert any(re.match(r"  answers +\S+/s, 100 requests \(200: 100\)", line) for line in rest)
