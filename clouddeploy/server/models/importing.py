"""The modules of several versions' code in one process, each version with its own.

Two versions of a model have modules of the same names. While one is loaded its modules stand in
``sys.modules``; afterwards they are kept aside, and an ``import`` that the version's code runs later, such
as inside of ``predict``, finds them there again and never another version's.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

MARK = "__clouddeploy_version__"
"""Name of the global variable by which a version's module knows where it belongs."""
_lock = threading.RLock()
_inside = threading.local()
_import = builtins.__import__
_import_module = importlib.import_module


class Scope:
    """The code of one version.

    Args:
        app: the folder that holds it.
    """

    def __init__(self, app: Path) -> None:
        self._app = app.absolute()
        self.names = frozenset(path.stem for path in app.iterdir()) if app.is_dir() else frozenset[str]()
        self.modules: dict[str, ModuleType] = {}

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let ``import`` find this version's modules, and keep aside those of others meanwhile."""
        _install()
        with _lock:
            outer = getattr(_inside, "scope", None)
            before = self._taken_out()
            path = list(sys.path)
            known = dict(sys.modules)
            sys.modules.update(self.modules)
            sys.path.insert(0, str(self._app))
            importlib.invalidate_caches()
            _inside.scope = self
            try:
                yield
            finally:
                _inside.scope = outer
                self._keep(known)
                sys.modules.update(before)
                sys.path[:] = path

    def _taken_out(self) -> dict[str, ModuleType]:
        found = [name for name in sys.modules if name.partition(".")[0] in self.names]
        return {name: sys.modules.pop(name) for name in found}

    def _keep(self, known: Mapping[str, ModuleType]) -> None:
        """Take the version's modules out of everybody's sight, the handler's own too."""
        self.modules |= self._taken_out()
        mine = dict(self.modules)
        for name, module in list(sys.modules.items()):
            file = None if known.get(name) is module else getattr(module, "__file__", None)
            if isinstance(file, str) and Path(file).parent == self._app:
                mine[name] = sys.modules.pop(name)
                if name in known:  # a handler of one loaded otherwise has the same name
                    sys.modules[name] = known[name]
        for module in mine.values():
            vars(module)[MARK] = self


def _scope_of(variables: Mapping[str, Any] | None, name: str) -> Scope | None:
    """The version to which the code with these globals belongs, where `name` is a module of its own."""
    scope = variables.get(MARK) if variables else None
    if not isinstance(scope, Scope) or name.partition(".")[0] not in scope.names:
        return None
    return None if getattr(_inside, "scope", None) is scope else scope


def _scoped_import(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    full = name if level == 0 else str((globals or {}).get("__package__") or "")
    scope = _scope_of(globals, full)
    if scope is None:
        return _import(name, globals, locals, fromlist or (), level)
    known = scope.modules.get(name) if level == 0 else None
    if known is not None and all(hasattr(known, wanted) for wanted in fromlist or ()):
        return known if fromlist else scope.modules[full.partition(".")[0]]
    with scope.entered():
        return _import(name, globals, locals, fromlist or (), level)


def _scoped_import_module(name: str, package: str | None = None) -> ModuleType:
    caller = sys._getframe(1).f_globals
    scope = _scope_of(caller, package or name if name.startswith(".") else name)
    if scope is None:
        return _import_module(name, package)
    if name in scope.modules:
        return scope.modules[name]
    with scope.entered():
        return _import_module(name, package)


def _install() -> None:
    """Once in a process, and only in one that holds versions side by side."""
    if builtins.__import__ is not _scoped_import:
        builtins.__import__ = _scoped_import
        importlib.import_module = _scoped_import_module
