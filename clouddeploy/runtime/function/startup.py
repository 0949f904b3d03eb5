"""Init: find the model, load it, tell the log how that went."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from clouddeploy.runtime.function import journal, model_source
from clouddeploy.runtime.function.entry import Function
from clouddeploy.runtime.function.guarded import GuardedService, load
from clouddeploy.runtime.function.journal import Journal
from clouddeploy.runtime.function.settings import FUNCTION_NAME, Settings


class Log(Protocol):
    """What hears how a function starts."""

    def event(self, level: str, message: str, request_id: str = "", **facts: Any) -> None:
        """Write a line of the level ``INFO``, ``WARN`` or ``ERROR``."""


def start(root: Path, environ: Mapping[str, str] = os.environ) -> Function:
    """The function of the package in `root`; to be called while the entry file is imported.

    Then Lambda's init phase bears it, which provisioned concurrency and SnapStart do ahead of requests.

    Raises:
        LoadError: with the reason, which is on the log too, with the trace of what caused it; awslambdaric
            reports it as the init error.
    """
    log = Journal(environ.get(FUNCTION_NAME, ""))
    with telling(log):
        settings = Settings.read(environ)
        service = load_found(root, lambda: model_source.find(root, environ), log)
    return Function(service, settings, Journal(settings.function, metrics=settings.metrics))


@contextmanager
def telling(log: Log) -> Iterator[None]:
    """Have `log` tell, with its trace, why what is done inside fails."""
    try:
        yield
    except BaseException as error:
        log.event("ERROR", f"the function can't start: {error}", trace=journal.trace())
        raise


def load_found(root: Path, find: Callable[[], Path], log: Log) -> GuardedService:
    """The service of the model in the folder that `find` names, with the code of the package in `root`.

    Raises:
        LoadError: with the reason.
    """
    started = time.perf_counter()
    model_dir = find()
    found_s = time.perf_counter() - started
    service = load(model_dir, model_source.code_dir(root, model_dir))
    load_s = time.perf_counter() - started - found_s
    times: dict[str, Any] = {"fetch_ms": round(found_s * 1e3, 1), "load_ms": round(load_s * 1e3, 1)}
    log.event("INFO", "the model is loaded", model=service.release, **times)
    return service
