"""The emulator ends although whoever started it lives on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STARTER = """
import sys
from clouddeploy.emulator.connection import connect
print(connect().url, flush=True)
sys.stdin.read()
"""


def test_it_is_stopped_from_elsewhere_while_its_starter_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDDEPLOY_STATE_DIR", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline().startswith("http://127.0.0.1:")
        stop = [sys.executable, "-m", "clouddeploy", "emulator", "stop"]
        done = subprocess.run(stop, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert starter.poll() is None
