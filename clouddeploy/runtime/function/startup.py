"""Init: find the model, load it, tell the log how that went."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from clouddeploy.runtime.function import journal, model_source
from clouddeploy.runtime.function.entry import Function
from clouddeploy.runtime.function.guarded import load
from clouddeploy.runtime.function.journal import Journal
from clouddeploy.runtime.function.settings import FUNCTION_NAME, Settings


def start(root: Path, environ: Mapping[str, str] = os.environ) -> Function:
    """The function of the package in `root`; to be called while the entry file is imported.

    Then Lambda's init phase bears it, which provisioned concurrency and SnapStart do ahead of requests.

    Raises:
        LoadError: with the reason, which is on the log too, with the trace of what caused it; awslambdaric
            reports it as the init error.
    """
    started = time.perf_counter()
    log = Journal(environ.get(FUNCTION_NAME, ""))
    try:
        settings = Settings.read(environ)
        model_dir = model_source.find(root, environ)
        found_s = time.perf_counter() - started
        service = load(model_dir, model_source.code_dir(root, model_dir))
    except BaseException as error:
        log.event("ERROR", f"the function can't start: {error}", trace=journal.trace())
        raise
    log.event(
        "INFO",
        "the model is loaded",
        model=service.release,
        fetch_ms=round(found_s * 1e3, 1),
        load_ms=round((time.perf_counter() - started - found_s) * 1e3, 1),
    )
    return Function(service, settings, Journal(settings.function, metrics=settings.metrics))
