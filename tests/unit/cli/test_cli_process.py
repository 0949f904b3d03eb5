"""The command line as a process of its own: what it loads, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
HEAVY = ("boto3", "botocore", "torch", "numpy", "rich", "moto")
COUNT = """
import runpy, sys
sys.argv = ["clouddeploy", {argument!r}]
try:
    runpy.run_module("clouddeploy", run_name="__main__")
except SystemExit:
    pass
print(len(sys.modules), *[m for m in {heavy!r} if m in sys.modules], file=sys.stderr)
"""


def loaded(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENV, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stderr.split()


def test_help_loads_fewer_than_130_modules_and_nothing_heavy() -> None:
    count, *heavy = loaded(COUNT.format(argument="--help", heavy=HEAVY))
    assert heavy == []
    assert int(count) < 130


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m clouddeploy schema | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=ENV, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout[0] == "{"


def test_every_command_has_a_help() -> None:
    from clouddeploy.cli.parser import COMMANDS

    code = (
        "import sys\nfrom clouddeploy.cli import main\n"
        f"print([main([c, '--help']) for c in {list(COMMANDS)}], file=sys.stderr)"
    )
    assert " ".join(loaded(code)) == str([0] * len(COMMANDS))
