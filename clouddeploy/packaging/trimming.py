"""What installed wheels hold that no running function needs, by name: tests, stubs, headers, scripts.

Safe before small: a ``tests`` folder stays where other code of its package imports it, and what
`importlib.metadata` reads stays: METADATA, entry points, and RECORD with the rows of what is left.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

VERSION = 1
"""Part of the cache's key: trees trimmed by other rules are other trees."""

SUFFIXES = frozenset((".pyi", ".pyc", ".pyo", ".h", ".hh", ".hpp", ".pxd", ".pyx", ".pxi", ".a"))
CACHES = frozenset(("__pycache__", ".pytest_cache"))
SCRIPTS = "bin"
"""Console scripts; their first line names an interpreter of the machine that installed them."""
LEFTOVERS = (".lock",)
OF_THE_INSTALLER = frozenset(("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"))
NEED_ONNX = ("onnxruntime/transformers", "onnxruntime/tools", "onnxruntime/quantization")
"""They prepare models, and can't be imported where the package ``onnx`` isn't installed."""

_IMPORTS = re.compile(
    rb"^[ \t]*(?:from[ \t]+([\w.]*\btests)\b[\w.]*[ \t]+import\b|import[ \t]+([\w.]*\btests)\b"
    rb"|from[ \t]+([\w.]+)[ \t]+import[ \t]+(?:[^#\n]*[ ,(])?tests\b)",
    re.MULTILINE,
)
"""Imports of a module called ``tests``: by its own name, or from what holds it."""


def trim(tree: Path) -> None:
    """Remove from `tree`, a folder that wheels were installed into, what no running function needs."""
    shutil.rmtree(tree / SCRIPTS, ignore_errors=True)
    for name in LEFTOVERS:
        (tree / name).unlink(missing_ok=True)
    if not (tree / "onnx").is_dir():
        for name in NEED_ONNX:
            shutil.rmtree(tree / name, ignore_errors=True)
    for package in sorted(path for path in tree.iterdir() if path.is_dir()):
        _trim_package(package)
    for folder in tree.glob("*.dist-info"):
        _trim_record(folder)


def _trim_package(package: Path) -> None:
    folders = [package, *(path for path in package.rglob("*") if path.is_dir() and not path.is_symlink())]
    tests = {path for path in folders if path.name == "tests"}
    if tests:
        tests -= set(_imported(package))
    for folder in [*tests, *(path for path in folders if path.name in CACHES)]:
        shutil.rmtree(folder, ignore_errors=True)
    for path in _files(package):
        if path.suffix in SUFFIXES or (package.suffix == ".dist-info" and path.name in OF_THE_INSTALLER):
            path.unlink()


def _imported(package: Path) -> Iterator[Path]:
    """The folders ``tests`` that code of `package` which is no test imports, as astropy's does."""
    for path in _files(package):
        if path.suffix != ".py" or "tests" in path.relative_to(package.parent).parts:
            continue
        for one in _IMPORTS.finditer(path.read_bytes()):
            name = (one[1] or one[2] or one[3] + b".tests").decode().replace("..tests", ".tests")
            rest = name.lstrip(".")
            depth = len(name) - len(rest)
            base = path.parents[depth - 1] if depth else package.parent
            yield base.joinpath(*rest.split("."))


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _trim_record(folder: Path) -> None:
    """Leave in RECORD (PyPA, "Recording installed projects") the rows of files that are there."""
    record = folder / "RECORD"
    if not record.is_file():
        return
    with record.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row and _is_there(folder.parent, row[0])]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    record.write_text(text.getvalue(), encoding="utf-8")


def _is_there(tree: Path, name: str) -> bool:
    return ".." not in Path(name).parts and (tree / name).is_file()


def top_level(names: Iterable[str]) -> tuple[str, ...]:
    """The first parts of `names`, sorted, each once."""
    return tuple(sorted({name.partition("/")[0] for name in names}))
