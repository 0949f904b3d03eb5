"""The code of our own that goes into artifacts: entry files and the runtime."""

from __future__ import annotations

from pathlib import Path

from clouddeploy.errors import CloudDeployError

PACKAGE = Path(__file__).parent.parent
HANDLERS = (PACKAGE / "_handlers", PACKAGE.parent / "handlers")
"""In the wheel, and in the checkout."""


def handler_source(name: str) -> bytes:
    """The entry file `name`, such as ``sagemaker_inference.py``, byte for byte."""
    for folder in HANDLERS:
        if (folder / name).is_file():
            return (folder / name).read_bytes()
    raise CloudDeployError(
        f"the entry file {name!r} is missing from this installation of clouddeploy",
        why=f"looked in {' and '.join(map(str, HANDLERS))}",
        fix="install clouddeploy again",
    )


def runtime_files() -> dict[str, bytes]:
    """The runtime's modules by their path in an artifact's code folder, sorted.

    Without ``clouddeploy/__init__.py``: inside an artifact ``clouddeploy`` is a namespace package.
    """
    folder = PACKAGE / "runtime"
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    return {f"clouddeploy/runtime/{name}": found[name].read_bytes() for name in sorted(found)}


SERVER = ("monitoring", "runtime", "server")
"""Packages of ours that the model server is made of; besides them it imports ``errors`` alone."""


def server_files() -> dict[str, bytes]:
    """The model server's files by their path in a folder that can be imported from, sorted."""
    from importlib.metadata import version

    number = version("clouddeploy")
    own = f'"""As much of clouddeploy as its model server needs."""\n\n__version__ = "{number}"\n'
    found = {"__init__.py": own.encode(), "errors.py": (PACKAGE / "errors.py").read_bytes()}
    for part in SERVER:
        for path in (PACKAGE / part).rglob("*"):
            if path.suffix in (".py", ".html"):
                found[path.relative_to(PACKAGE).as_posix()] = path.read_bytes()
    return {f"clouddeploy/{name}": found[name] for name in sorted(found)}
