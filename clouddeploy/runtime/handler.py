"""The user's handler: a module or its class ``Handler``: ``load``, ``predict`` and two optional steps.

A ``predict`` that is a generator function gives its predictions bit by bit; the server alone streams them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import closing
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
    before, after = _step(found, "preprocess", path), _step(found, "postprocess", path)
    if load:
        try:
            load(model_dir)
        except Exception as error:
            raise LoadError(f"{path.name}: load raised {type(error).__name__}: {error}", "load") from error
    if before is None and after is None:
        return predict
    chain = _chain_of_many if inspect.isgeneratorfunction(predict) else _chain
    return chain(before or _same, predict, after or _same)


def _same(value: Any) -> Any:
    return value


def _chain(before: Predict, predict: Predict, after: Predict) -> Predict:
    def run(inputs: Any) -> Any:
        return after(predict(before(inputs)))

    return run


def _chain_of_many(before: Predict, predict: Predict, after: Predict) -> Predict:
    """As `_chain`, for a ``predict`` that gives one prediction after another."""

    def run(inputs: Any) -> Iterator[Any]:
        with closing(predict(before(inputs))) as found:
            for one in found:
                yield after(one)

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
