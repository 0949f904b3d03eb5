"""Runs each scenario beside this file: files, commands and what they must print, as one readable text.

    What it shows, in a sentence.            lines before the first == are for readers
    == needs emulator                        optional; or: torch
    == file clouddeploy.toml                 a file of the folder that the commands run in
    == run clouddeploy plan                  a line for bash; `clouddeploy` is this working copy
    == exit 20                               of the last command; 0 where it isn't given
    == stdout                                must match whole; where it isn't given, anything goes
    == stderr                                the same

In expected text `…` stands for anything within a line, and a line of only `…` for any lines.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHELL = f'clouddeploy() {{ "{sys.executable}" -m clouddeploy "$@"; }}\n'
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONDONTWRITEBYTECODE")


@dataclass
class Command:
    """One line for bash, and what must come of it."""

    line: str
    exit: int = 0
    expected: dict[str, str] = field(default_factory=dict)


@dataclass
class Scenario:
    """A parsed scenario."""

    files: dict[str, str] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)


def read(text: str) -> Scenario:
    found = Scenario()
    _, *parts = re.split(r"^== ", text, flags=re.M)
    for part in parts:
        head, _, body = part.partition("\n")
        word, _, rest = head.partition(" ")
        match word:
            case "needs":
                found.needs.append(rest)
            case "file":
                found.files[rest] = body.rstrip("\n") + "\n"
            case "run":
                found.commands.append(Command(rest))
            case "exit":
                found.commands[-1].exit = int(rest)
            case "stdout" | "stderr":
                found.commands[-1].expected[word] = body
            case _:
                raise ValueError(f"unknown line: == {head}")
    return found


def pattern(expected: str) -> re.Pattern[str]:
    """The regular expression of an expected text."""
    lines = [
        r"(?:.*\n)*" if line.strip() == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        for line in expected.strip("\n").splitlines()
    ]
    return re.compile("".join(lines))


def environment(folder: Path, state: Path) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "CLOUDDEPLOY_STATE_DIR": str(state),
        "AWS_EC2_METADATA_DISABLED": "true",
        "HERE": str(folder),
        "EXAMPLES": str(ROOT / "examples"),
    }


@pytest.fixture(scope="module")
def shared_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the embedded cloud that the scenarios share keeps its state; it is stopped at the end."""
    state = tmp_path_factory.mktemp("state")
    yield state
    stop = [sys.executable, "-m", "clouddeploy", "emulator", "stop"]
    subprocess.run(stop, env=environment(state, state), check=False, capture_output=True, timeout=60)


@pytest.mark.parametrize("path", sorted(HERE.glob("*.txt")), ids=lambda path: path.stem)
def test_scenario(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    scenario = read(path.read_text("utf-8"))
    folder = tmp_path / "project"
    folder.mkdir()
    for name, content in scenario.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")
    own = tmp_path / "state"
    state = request.getfixturevalue("shared_state") if "emulator" in scenario.needs else own
    env = environment(folder, state)
    for command in scenario.commands:
        done = subprocess.run(
            ["bash", "-c", SHELL + command.line],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=200,
        )
        told = f"$ {command.line}\n[exit {done.returncode}]\n{done.stdout}\n[stderr]\n{done.stderr}"
        told = told.replace(str(folder), "$HERE")
        assert done.returncode == command.exit, told
        for stream, expected in command.expected.items():
            got = getattr(done, stream).replace(str(folder), "$HERE")
            assert pattern(expected).fullmatch(got), f"{told}\n[expected {stream}]\n{expected}"


def test_a_wildcard_stands_for_text_within_a_line_and_for_lines() -> None:
    assert pattern("a … c\n…\nd\n").fullmatch("a b c\nx\ny\nd\n")
    assert pattern("a\n…\nd\n").fullmatch("a\nd\n")
    assert not pattern("a … c\n").fullmatch("a b\nc\n")
