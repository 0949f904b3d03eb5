"""The source of a module's class, for weights that don't hold the program."""

from __future__ import annotations

import ast
import inspect
import json
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clouddeploy.errors import HandlerError, ModelError
from clouddeploy.model.code import collect, collect_package
from clouddeploy.model.files import File

_WAY_OUT = "put the class into a file such as net.py, import it from there, and run this again"


@dataclass(frozen=True)
class Source:
    """Where a class comes from.

    Args:
        module: name to import, with the code folder on the path.
        name: qualified name of the class in it.
        init: its constructor's arguments, JSON values.
        code: the files of that module and of what it imports from beside it.
        requirements: the installed package that it is part of, if it is.
    """

    module: str
    name: str
    init: Mapping[str, Any]
    code: tuple[File, ...] = ()
    requirements: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As the manifest holds it."""
        return {"module": self.module, "class": self.name, "init": dict(self.init)}


def source_of(module: Any, init: Mapping[str, Any] | None) -> Source:
    """The source of the class of `module`, after making one with `init` as a trial.

    Raises:
        ModelError: it was defined in a notebook, at a prompt or in a function; or can't be made.
    """
    kind = type(module)
    if "<locals>" in kind.__qualname__:
        raise ModelError(
            f"the class {kind.__qualname__} can't be imported",
            why="it is defined inside a function",
            fix=_WAY_OUT,
        )
    arguments = _checked_init(kind, init)
    try:
        found = inspect.getsourcefile(kind)
    except (OSError, TypeError):
        found = None
    if found is None or not Path(found).is_file() or not _defines(Path(found), kind.__qualname__):
        raise ModelError(
            f"the source of the class {kind.__qualname__} is not in a file",
            why="it is defined in a notebook or at a prompt",
            fix=_WAY_OUT,
        )
    path = Path(found).resolve()
    name = kind.__module__
    if _is_installed(path):
        return Source(name, kind.__qualname__, arguments, (), _distribution(name))
    top = name.partition(".")[0]
    if name == "__main__":
        return Source(path.stem, kind.__qualname__, arguments, collect(path))
    depth = name.count(".") + (path.name == "__init__.py")
    if depth == 0:
        return Source(name, kind.__qualname__, arguments, collect(path))
    package = path.parents[depth - 1]
    if package.name != top:
        raise ModelError(f"{path} is imported as {name}", why="name and path don't agree", fix=_WAY_OUT)
    return Source(name, kind.__qualname__, arguments, collect_package(package))


def named_source(text: str, init: Mapping[str, Any] | None) -> Source:
    """The source that a user names as ``"net.py:Net"``.

    Raises:
        ModelError: it is written in another way.
        HandlerError: the file is missing or no valid Python.
    """
    file, _, name = text.rpartition(":")
    if not file.endswith(".py") or not name:
        raise ModelError(
            f"source is {text!r}", why="expected a file and a class in it", fix="write it as 'net.py:Net'"
        )
    path = Path(file)
    if not path.is_file():
        raise HandlerError(f"the source {file!r} is not there", fix="give the path of a Python file")
    return Source(path.stem, name, _json_init(init), collect(path))


def _json_init(init: Mapping[str, Any] | None) -> Mapping[str, Any]:
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(init or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"init is {init!r}"[:200],
            why=f"its values must be JSON: {error}",
            fix="give numbers, text, lists or dicts",
        ) from error
    return found


def _checked_init(kind: Any, init: Mapping[str, Any] | None) -> Mapping[str, Any]:
    arguments = _json_init(init)
    try:
        inspect.signature(kind).bind(**arguments)
    except TypeError as error:
        given = f"init={dict(arguments)}" if arguments else "no arguments"
        raise ModelError(
            f"the class {kind.__qualname__} can't be made with {given}",
            why=str(error),
            fix="give its constructor's arguments, such as init={'hidden': 128}",
        ) from error
    return arguments


def _defines(path: Path, qualname: str) -> bool:
    """Whether a class of that name stands in the file: ``__main__`` may be another program's."""
    nodes: list[ast.stmt] = ast.parse(path.read_bytes()).body
    for part in qualname.split("."):
        found = [node for root in nodes for node in ast.walk(root) if isinstance(node, ast.ClassDef)]
        match = next((node for node in found if node.name == part), None)
        if match is None:
            return False
        nodes = match.body
    return True


def _is_installed(path: Path) -> bool:
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")}
    return any(path.is_relative_to(Path(place).resolve()) for place in places if place)


def _distribution(module: str) -> tuple[str, ...]:
    from importlib import metadata

    top = module.partition(".")[0]
    names = metadata.packages_distributions().get(top, [])
    return tuple(f"{name}=={metadata.version(name).partition('+')[0]}" for name in names if name != "torch")
