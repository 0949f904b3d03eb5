"""docs/cli.md says what the command line does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fake_deployer import FakeCloud, cli, project

from clouddeploy import config, errors
from clouddeploy.cli.parser import COMMANDS, help_text

DOC = Path(__file__).parents[3] / "docs" / "cli.md"
TEXT = DOC.read_text("utf-8")


def documented(heading: str) -> dict[str, Any]:
    section = TEXT.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    found = re.search(r"```json\n(.*?)\n```", section, re.S)
    assert found, f"docs/cli.md has no JSON under {heading!r}"
    return json.loads(found[1])


def shape(value: Any) -> Any:
    """Keys and types of a value, without the values."""
    if isinstance(value, Mapping):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


@pytest.mark.parametrize(
    ("heading", "argv"),
    [
        ("an error", ["status", "gone"]),
        ("plan", ["plan"]),
        ("deploy", ["deploy", "--yes"]),
        ("package", ["package", "--out", "OUT"]),
        ("status", ["status", "other"]),
        ("rollback", ["rollback", "other", "--yes"]),
        ("traffic", ["traffic", "other", "1f2e3d4c5b=10", "0a1b2c3d4e=90", "--yes"]),
        ("scale", ["scale", "other", "--min", "1", "--max", "4", "--yes"]),
        ("logs", ["logs", "other"]),
        ("list", ["list"]),
        ("delete", ["delete", "other", "--yes"]),
        ("predict", ["predict", "other", "--input", "in.json", "--output", "out.npy"]),
        ("version", ["version"]),
    ],
)
def test_the_documented_json_is_what_is_printed(tmp_path: Path, heading: str, argv: list[str]) -> None:
    project(tmp_path)
    (tmp_path / "in.json").write_text("[[1]]")
    argv = [str(tmp_path / "out.tar.gz") if word == "OUT" else word for word in argv]
    done = cli(*argv, "--json", folder=tmp_path, cloud=FakeCloud({"other": "r1"}))
    assert shape(json.loads(done.out)) == shape(documented(heading))


def test_the_documented_help_is_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert f"```text\n{help_text().rstrip()}\n```" in TEXT


def test_every_exit_code_is_documented() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    table = set(map(int, re.findall(r"^\| (\d+) \|", TEXT, re.M)))
    assert {c.exit_code for c in classes if issubclass(c, errors.CloudDeployError)} | {0, 20, 141} == table


def test_every_command_is_mentioned() -> None:
    assert [name for name in COMMANDS if f"`{name}`" not in TEXT and name not in TEXT] == []


def test_the_documented_configuration_is_one(tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", TEXT, re.S)
    assert found
    (tmp_path / "clouddeploy.toml").write_text(found[1])
    assert config.load(tmp_path).wish["autoscaling"].schedules[0].min == 4
