"""Init: find the model, load it where that is safe, tell the log how that went."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping
from functools import partial
from pathlib import Path

from clouddeploy.runtime.cloud_function import forking, remote_model
from clouddeploy.runtime.cloud_function.entry import CloudFunction
from clouddeploy.runtime.cloud_function.events import EventTaker
from clouddeploy.runtime.cloud_function.journal import Journal
from clouddeploy.runtime.cloud_function.metadata import Metadata
from clouddeploy.runtime.cloud_function.settings import RELEASE, Settings
from clouddeploy.runtime.cloud_function.storage import Storage
from clouddeploy.runtime.cloud_function.warming import warm
from clouddeploy.runtime.function.guarded import GuardedService
from clouddeploy.runtime.function.startup import load_found, telling

POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""What torch reads, when it is imported, to know how many threads it may have."""


def start(root: Path, environ: MutableMapping[str, str] = os.environ) -> CloudFunction:
    """The function of the package in `root`; to be called while the entry file is imported.

    Sets `POOLS` in `environ`, whatever they were: ``CLOUDDEPLOY_THREADS`` alone asks for more threads than
    one, as what starts them before the worker is forked off hangs there.

    Raises:
        LoadError: with the reason, which is on the log too, with the trace of what caused it.
    """
    with telling(Journal(release=environ.get(RELEASE, ""))):
        settings = Settings.read(environ)
    environ.update(dict.fromkeys(POOLS, str(settings.threads)))
    metadata = Metadata.of(environ)
    log = Journal(settings.project or _project(metadata, environ), settings.release)
    storage = Storage.of(environ, metadata)
    find = partial(remote_model.find, root, environ, storage)
    loading = forking.Loading(partial(_load, root, find, log))
    if settings.threads > 1:
        with telling(log):
            find()  # what takes long, and gunicorn gives up a worker that is silent for long
        log.event("INFO", f"the model is loaded in the worker, for {settings.threads} threads")
    else:
        loading()
    loading.use_in_children(partial(warm, tell=partial(_not_warm, log)))
    return CloudFunction(loading, settings, log, EventTaker(storage, settings, log))


def _load(root: Path, find: Callable[[], Path], log: Journal) -> GuardedService:
    with telling(log):
        return load_found(root, find, log)


def _project(metadata: Metadata, environ: Mapping[str, str]) -> str:
    """The project's id, which only the platform's own metadata tells; asked for nowhere else."""
    return metadata.project() if environ.get("K_SERVICE") else ""


def _not_warm(log: Journal, error: Exception) -> None:
    log.event("WARN", f"the model can't be warmed up with zeros: {type(error).__name__}: {error}")
