"""The rules that the whole house keeps."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import clouddeploy

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clouddeploy"
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "handlers").glob("*.py")])
HEAVY = {"boto3", "botocore", "torch", "numpy", "rich", "moto", "onnxruntime", "IPython"}
MODULES = 130


def loaded_by(*arguments: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after running with `arguments`."""
    code = f"import sys\nsys.argv = ['clouddeploy', *{list(arguments)!r}]\n" + (
        "from clouddeploy.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
        if arguments
        else "import clouddeploy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}print('\\nLOADED', *sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(done.stdout.rsplit("LOADED", 1)[1].split())


@pytest.mark.parametrize("arguments", [(), ("--help",)], ids=["import", "help"])
def test_starting_loads_few_modules_and_nothing_heavy(arguments: tuple[str, ...]) -> None:
    loaded = loaded_by(*arguments)
    assert "clouddeploy" in loaded
    assert not HEAVY & loaded
    assert len(loaded) < MODULES, sorted(loaded)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 60, f"{node.name} is too long"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_public_names_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module has none"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has none"


def test_every_public_name_can_be_had_and_is_listed() -> None:
    for name in clouddeploy.__all__:
        assert getattr(clouddeploy, name) is not None
    assert sorted(clouddeploy.__all__) == sorted(clouddeploy._HOMES)
    assert set(clouddeploy.__all__) <= set(dir(clouddeploy))


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Deployr'"):
        clouddeploy.Deployr  # noqa: B018
