"""The example notebook is the one its script writes, and runs on the embedded cloud."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_notebook", DIGITS / "make_notebook.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebook_has_the_cells_of_its_script_and_outputs_without_errors() -> None:
    shown = nbformat.read(DIGITS / "digits.ipynb", as_version=4)
    nbformat.validate(shown)
    assert [(c.cell_type, c.source) for c in shown.cells] == [
        (c.cell_type, c.source) for c in script().build().cells
    ]
    outputs = [output for cell in shown.cells for output in cell.get("outputs", [])]
    assert outputs
    assert [output for output in outputs if output.output_type == "error"] == []


def test_the_notebook_is_small_and_tells_nothing_of_the_machine_it_was_run_on() -> None:
    text = (DIGITS / "digits.ipynb").read_text("utf-8")
    assert len(text) < 60_000
    assert str(ROOT) not in text
    assert str(Path.home()) + "/" not in text


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "digits"
    shutil.copytree(DIGITS, folder, ignore=shutil.ignore_patterns("__pycache__", "*.pt2", "*.npy"))
    monkeypatch.setenv("CLOUDDEPLOY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    make = script()
    try:
        done = make.execute(make.build(), folder)
    finally:
        stop = [sys.executable, "-m", "clouddeploy", "emulator", "stop"]
        subprocess.run(stop, check=True, timeout=60, env=dict(os.environ), capture_output=True)
    kinds = [[output.output_type for output in cell.get("outputs", [])] for cell in done.cells]
    assert [cell.source for cell, outputs in zip(done.cells, kinds, strict=True) if "error" in outputs] == []
    assert "text/html" in done.cells[3].outputs[-1].data
