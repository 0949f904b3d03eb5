"""The pages under docs/: their code runs where it stands alone, and what they name is there."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIZES = r"^\| `([\w/]+)` \| ([\d.]+) MB \| ([\d.]+) MB \| ([\d.]+) MB \| ([\d.]+) MB \|$"
PAGES = sorted((ROOT / "docs").glob("*.md"))


def test_the_permissions_that_sagemaker_takes_are_printed() -> None:
    text = (ROOT / "docs" / "sagemaker.md").read_text("utf-8")
    found = re.search(r"```python\n(.*?)```", text, re.S)
    assert found
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(found[1], "sagemaker.md", "exec"), {})
    assert json.loads(printed.getvalue())["Version"] == "2012-10-17"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_files_and_folders_that_a_page_names_are_there(path: Path) -> None:
    text = path.read_text("utf-8")
    named = re.findall(r"`((?:clouddeploy|tests|docs|handlers|examples)/[\w/.]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_modules_in_the_table_of_layers_are_there_and_none_is_missing() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    table = text.partition("## The layers")[2].partition("import-linter")[0]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.M)
    named = {name.rstrip("/") for row in rows for name in re.findall(r"`(\w+/?)`", row)}
    package = ROOT / "clouddeploy"
    there = {p.stem for p in package.glob("[a-z]*.py")} | {
        p.parent.name for p in package.glob("[a-z]*/__init__.py")
    }
    assert named == there | {"runtime"}


def test_settings_and_options_that_pages_name_exist() -> None:
    from dataclasses import fields

    from clouddeploy.emulator import Settings

    text = (ROOT / "docs" / "emulator.md").read_text("utf-8").partition("## Settings")[2]
    named = set(re.findall(r"`(\w+_s|max_\w+)`", text))
    assert named <= {f.name for f in fields(Settings)}


def test_the_table_of_autoscaling_is_what_the_providers_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "autoscaling_table.py"), "--check"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_size_of_every_example_is_told_and_fits() -> None:
    table = (ROOT / "README.md").read_text("utf-8").partition("<!-- sizes -->")[2].partition("<!-- end")[0]
    told = {row[0]: [float(cell) for cell in row[1:]] for row in re.findall(SIZES, table, re.M)}
    assert set(told) == {f"examples/{path.parent.name}" for path in (ROOT / "examples").glob("*/*.toml")}
    assert all(max(arm64, x86_64) < 60 for arm64, x86_64, *_ in told.values())
