"""Ctrl-C during a deploy, as a terminal sends it: what was done is undone, and the exit code says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clouddeploy.emulator import Emulator, Settings
from clouddeploy.testing.models import HANDLER

ROOT = Path(__file__).parents[2]
TOML = """\
name = "slow"
target = "sagemaker"
[model]
folder = "weights"
handler = "handler.py"
[compute]
instance = "ml.m5.large"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    import numpy as np

    (tmp_path / "weights").mkdir()
    np.save(tmp_path / "weights" / "weights.npy", np.eye(2, dtype=np.float32))
    (tmp_path / "handler.py").write_text(HANDLER)
    (tmp_path / "clouddeploy.toml").write_text(TOML)
    return tmp_path


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables that point at a cloud in which endpoints take some seconds to be made."""
    with Emulator(Settings(creating_s=8)) as cloud:
        yield {**os.environ, "PYTHONPATH": str(ROOT), **cloud.connection.env()}


def clouddeploy(*argv: str) -> list[str]:
    return [sys.executable, "-m", "clouddeploy", *argv]


@pytest.mark.timeout(200)
def test_ctrl_c_undoes_a_deploy(project: Path, environ: dict[str, str]) -> None:
    deploy = subprocess.Popen(
        clouddeploy("deploy", "--yes"),
        cwd=project,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert deploy.stderr
    told = ""
    while "waiting for endpoint slow" not in told:
        line = deploy.stderr.readline()
        assert line, told
        told += line
    deploy.send_signal(signal.SIGINT)
    out, rest = deploy.communicate(timeout=180)
    assert (deploy.returncode, out) == (130, ""), told + rest
    assert "undo: removed endpoint/slow" in rest
    assert "Traceback" not in rest
    after = subprocess.run(
        clouddeploy("list", "--json", "--target", "sagemaker"),
        cwd=project,
        env=environ,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert '"deployments": []' in after.stdout
