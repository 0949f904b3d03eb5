"""User code: the modules beside the handler, imported from the artifact and from nowhere else."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from clouddeploy.runtime.errors import LoadError

_PREFIX = "_clouddeploy_app_"


@contextmanager
def app_modules(app: Path, *, keep: bool) -> Iterator[None]:
    """Let ``import`` find the modules in `app` first, whatever was imported under their names before.

    Args:
        app: folder of the user's code; may be missing.
        keep: leave `app` on the path afterwards (a process that serves one model), or put back
            what was there (a process that has modules of its own).
    """
    names = {path.stem for path in app.iterdir()} if app.is_dir() else set()
    ours = [name for name in sys.modules if name.partition(".")[0] in names]
    before = {name: sys.modules.pop(name) for name in ours}
    sys.path.insert(0, str(app))
    try:
        yield
    finally:
        if not keep:
            sys.path.remove(str(app))
            for name in [name for name in sys.modules if name.partition(".")[0] in names]:
                del sys.modules[name]
            sys.modules.update(before)


def load_file(path: Path) -> ModuleType:
    """Run the module in `path` under a name that can't meet another module's.

    Raises:
        LoadError: the file is missing, or raises while it is imported.
    """
    name = _PREFIX + path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise LoadError(f"{path.name} is not among the model's code", "import")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise LoadError(
            f"{path.name} can't be imported: {type(error).__name__}: {error}", "import"
        ) from error
    return module
