"""`make demo` does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clouddeploy.emulator.google.plane.framework import PINS, prepare
from clouddeploy.emulator.plane.environment import site_of
from clouddeploy.testing.wheelhouse import Wheelhouse

ROOT = Path(__file__).parents[2]
AWS = {
    "buckets",
    "roles",
    "models",
    "endpoint configs",
    "endpoints",
    "functions",
    "scalable targets",
    "alarms",
}
LISTED = {
    "sagemaker": AWS,
    "lambda": AWS,
    "cloud-functions": {"buckets", "functions", "services", "service accounts"},
    "cloud-run": {"buckets", "functions", "services", "service accounts"},
}


@pytest.mark.parametrize("target", ["sagemaker", "lambda", "cloud-functions", "cloud-run"])
def test_the_demo_deploys_predicts_and_leaves_nothing(tmp_path: Path, target: str) -> None:
    if target != "sagemaker" and not os.environ.get("CLOUDDEPLOY_ALL_FAULTS"):
        pytest.skip("one demo of four, for the sake of time; make faults (CLOUDDEPLOY_ALL_FAULTS=1) runs all")
    wheels = Wheelhouse(tmp_path / "wheels")
    if target != "sagemaker":
        # What the function's packages are called is all that counts: it runs with this machine's own.
        for name in ("numpy", "onnxruntime", "flatbuffers", "protobuf", "packaging"):
            wheels.repack(name, tag="py3-none-any")
    if target == "cloud-run":
        for name in ("httptools", "msgspec", "orjson", "uvloop"):
            wheels.repack(name, tag="py3-none-any")
    if target == "cloud-functions":
        site = site_of(prepare())
        for pin in PINS:
            wheels.repack(pin.partition("==")[0], site=site, tag="py3-none-any")
    env = {**os.environ, **wheels.env(), "PYTHONPATH": str(ROOT), "CLOUDDEPLOY_STATE_DIR": str(tmp_path)}
    command = [sys.executable, str(ROOT / "examples" / "digits" / "demo.py"), "--target", target]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=220)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to do" in done.stdout
    accuracy = re.search(r"right \((\d+\.\d)%\)", done.stdout)
    assert accuracy
    assert float(accuracy[1]) > 95
    left = dict(re.findall(r"^   ([a-z ]+): +(.*)$", done.stdout.partition("6. Tear down")[2], re.M))
    assert set(left) == LISTED[target]
    assert set(left.values()) == {"none"}
    assert not (tmp_path / "emulator.json").exists()


def test_make_demo_runs_it() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(r"^demo:.*\n\t.*examples/digits/demo\.py --target \$\(TARGET\)$", makefile, re.M)
