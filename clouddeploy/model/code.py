"""Which files of user code a model needs: the handler and what it imports from beside it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path

from clouddeploy.errors import HandlerError, ModelError
from clouddeploy.model.files import File, files_in, left_out, walk

_TAKEN = ("clouddeploy",)


def collect(entry: Path, include: Sequence[str] = ()) -> tuple[File, ...]:
    """The module `entry`, the modules and packages beside it that it imports, and `include`.

    Imports are read from the source, not run, and followed through the files found. What is
    imported in another way (``importlib``, data files) is named in `include`.

    Args:
        entry: a Python file; its folder is the root of the code.
        include: paths or glob patterns relative to that folder.

    Raises:
        HandlerError: `entry` is missing, or a file that is needed has a syntax error.
        ModelError: a pattern of `include` finds nothing or leaves the folder.
    """
    if not entry.is_file():
        raise HandlerError(f"the handler {str(entry)!r} is not there", fix="give the path of a Python file")
    root = entry.absolute().parent
    found: set[Path] = set()
    todo = [root / entry.name]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix == ".py":
            todo += [file for name in _imports(path) for file in _beside(root, name)]
    for pattern in include:
        found |= set(_included(root, pattern))
    files = files_in(root, found)
    for file in files:
        if Path(file.name).parts[0].removesuffix(".py") in _TAKEN:
            raise HandlerError(
                f"the code file {file.path} can't be packed", why="its name is ours", fix="rename it"
            )
    return files


def importing(module: str, entry: str, code: Iterable[File]) -> set[str]:
    """Files of `code` that import `module` as they are imported themselves, beginning with `entry`.

    Imports inside functions and ``try`` are left out: they may never run.
    """
    files = {file.name: file.path for file in code}
    found, seen, todo = set(), set(), [entry]
    while todo:
        name = todo.pop()
        if name in seen or name not in files:
            continue
        seen.add(name)
        for top in _imports(files[name], at_import=True):
            if top == module:
                found.add(name)
            todo += [other for other in files if other in (f"{top}.py", f"{top}/__init__.py")]
    return found


def collect_package(folder: Path) -> tuple[File, ...]:
    """Every file of a package, named from the folder that holds it."""
    return files_in(folder.absolute().parent, walk(folder.absolute()))


def _imports(path: Path, *, at_import: bool = False) -> set[str]:
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise HandlerError(
            f"{path.name} is no valid Python{line}",
            why=str(getattr(error, "msg", error)),
            fix="mend the file",
        ) from error
    names = set()
    for node in tree.body if at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def _beside(root: Path, name: str) -> Iterable[Path]:
    if (root / f"{name}.py").is_file():
        return [root / f"{name}.py"]
    folder = root / name
    if folder.is_dir() and not left_out(name) and any(folder.rglob("*.py")):
        return walk(folder)
    return []


def _included(root: Path, pattern: str) -> Iterable[Path]:
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise ModelError(
            f"include has {pattern!r}", why=f"it leaves {root}", fix="name files beside the handler"
        )
    hits = sorted(root.glob(pattern))
    if not hits:
        raise ModelError(
            f"include has {pattern!r}", why=f"nothing of that name is in {root}", fix="check the spelling"
        )
    for hit in hits:
        yield from walk(hit) if hit.is_dir() else [hit]


def merge(*groups: Iterable[File]) -> tuple[File, ...]:
    """All files of the groups, sorted by name.

    Raises:
        ModelError: two groups have different files of one name.
    """
    found: dict[str, File] = {}
    for file in (file for group in groups for file in group):
        other = found.setdefault(file.name, file)
        if other.sha256 != file.sha256:
            raise ModelError(
                f"two code files become {file.name!r}",
                why=f"{other.path} and {file.path}",
                fix="rename one of them",
            )
    return tuple(found[name] for name in sorted(found))
