"""Every block of README.md is run: Python, commands, configuration, and the outputs shown.

Python blocks share one namespace, in a copy of examples/ and on an embedded cloud of their own. A
`text` block that follows a `python` block is what that one prints.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from clouddeploy import config
from clouddeploy.emulator import connection

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BINARIES = (
    f'clouddeploy() {{ "{sys.executable}" -m clouddeploy "$@"; }}\npython() {{ "{sys.executable}" "$@"; }}\n'
)
STOP = "trap 'clouddeploy emulator stop >&2' EXIT\n"
PLAN_CHANGES = 'plan() { clouddeploy plan "$@" || [ $? = 20 ]; }\n'


class Block(NamedTuple):
    language: str
    text: str


def blocks(text: str) -> list[Block]:
    return [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```", text, re.M | re.S)]


def normal(text: str) -> str:
    """Text without what differs from run to run: digests, times, figures of size."""
    text = re.sub(r"\b[0-9a-f]{8,64}\b", "DIGEST", text)
    return re.sub(r"[ \t]+", " ", re.sub(r"\d+(\.\d+)? (s|ms|KiB|MiB|KB|MB)\b", "N \\2", text)).strip()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the examples, and an embedded cloud that is stopped at the end."""
    folder = tmp_path_factory.mktemp("readme")
    ignore = shutil.ignore_patterns("__pycache__", "*.pt2", "*.npy")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=ignore)
    env = {"CLOUDDEPLOY_STATE_DIR": str(folder / "state"), "PYTHONPATH": str(ROOT)}
    aws = [name for name in os.environ if name.startswith("AWS_")]
    with pytest.MonkeyPatch.context() as patch:
        for name in aws:
            patch.delenv(name)
        for name, value in env.items():
            patch.setenv(name, value)
        yield folder
        connection.stop()


def test_python_blocks_run_and_print_what_is_shown(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "examples" / "digits")
    monkeypatch.syspath_prepend(str(project / "examples" / "digits"))
    namespace: dict[str, Any] = {"__name__": "readme"}
    printed = ""
    for language, text in blocks(README):
        if language == "python":
            stdout = io.StringIO()
            with contextlib.redirect_stdout(stdout):
                exec(compile(text, "README.md", "exec"), namespace)
            printed = stdout.getvalue()
        elif language == "text":
            assert normal(printed) == normal(text), printed
    assert "train" in sys.modules
    del sys.modules["train"]


@pytest.mark.parametrize(
    "text", [b.text for b in blocks(README) if b.language == "sh" and not b.text.startswith("pip")]
)
def test_commands_succeed(project: Path, text: str) -> None:
    script = BINARIES + PLAN_CHANGES + STOP + "set -e\n" + text.replace("clouddeploy plan", "plan")
    env = {**os.environ, "CLOUDDEPLOY_STATE_DIR": str(project / "state-of-commands")}
    done = subprocess.run(
        ["bash", "-c", script], cwd=project, env=env, capture_output=True, text=True, timeout=220
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def test_extras_that_are_installed_exist() -> None:
    import tomllib

    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = [e for found in re.findall(r"clouddeploy\[([\w,]+)\]", README) for e in found.split(",")]
    assert named
    assert [extra for extra in named if extra not in known] == []


def test_make_commands_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"\bmake (\w+)", README + (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    assert {"demo", "test"} <= named
    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.M)] == []


@pytest.mark.parametrize("text", [b.text for b in blocks(README) if b.language == "toml"])
def test_configurations_load(tmp_path: Path, text: str) -> None:
    (tmp_path / "clouddeploy.toml").write_text(text, "utf-8")
    config.load(tmp_path)


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_kind_of_block_is_tried_by_one_of_these_tests() -> None:
    assert {b.language for b in blocks(README)} <= {"python", "sh", "toml", "text"}
