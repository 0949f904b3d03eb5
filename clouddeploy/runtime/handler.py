"""The user's handler: a module or its class ``Handler``: ``load``, ``predict`` and two optional steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clouddeploy.runtime.errors import LoadError
from clouddeploy.runtime.source import load_file

Predict = Callable[[Any], Any]


def load_handler(path: Path, model_dir: Path, on_phase: Callable[[str], object] = str) -> Predict:
    """Import the handler in `path`, call its ``load(model_dir)``, return inputs → outputs.

    Args:
        path: the handler's file.
        model_dir: what its ``load`` gets.
        on_phase: called with ``import`` and ``load`` as each begins.

    Raises:
        LoadError: with the phase that failed, ``import`` or ``load``.
    """
    on_phase("import")
    module = load_file(path)
    found: Any = module
    on_phase("load")
    if inspect.isclass(getattr(module, "Handler", None)):
        try:
            found = module.Handler()
        except Exception as error:
            raise LoadError(
                f"{path.name}: Handler() raised {type(error).__name__}: {error}", "load"
            ) from error
    predict = _step(found, "predict", path)
    if predict is None:
        raise LoadError(
            f"{path.name} has no function predict(inputs), nor has a class Handler in it", "import"
        )
    load = _step(found, "load", path)
    steps = [
        step
        for step in (_step(found, "preprocess", path), predict, _step(found, "postprocess", path))
        if step
    ]
    if load:
        try:
            load(model_dir)
        except Exception as error:
            raise LoadError(f"{path.name}: load raised {type(error).__name__}: {error}", "load") from error
    return steps[0] if len(steps) == 1 else _chain(steps)


def _chain(steps: list[Predict]) -> Predict:
    def run(inputs: Any) -> Any:
        for step in steps:
            inputs = step(inputs)
        return inputs

    return run


def _step(owner: Any, name: str, path: Path) -> Predict | None:
    step = getattr(owner, name, None)
    if step is None:
        return None
    if not callable(step):
        raise LoadError(f"{path.name}: {name} is no function", "import")
    if inspect.iscoroutinefunction(step):
        raise LoadError(f"{path.name}: {name} is async; the runtime calls plain functions", "import")
    try:
        inspect.signature(step).bind(None)
    except TypeError as error:
        raise LoadError(f"{path.name}: {name} must take one argument: {error}", "import") from error
    except ValueError:
        return step  # type: ignore[no-any-return]  # a builtin without a readable signature
    return step  # type: ignore[no-any-return]
