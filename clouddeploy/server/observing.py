"""Watches what a worker does: metrics, access log, slow requests; answers ``/metrics``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.monitoring import exposition, families, gpus, processes
from clouddeploy.monitoring.access_log import AccessLog
from clouddeploy.monitoring.gathering import Gatherer, Snapshot
from clouddeploy.monitoring.recording import Recorder
from clouddeploy.server.answers import Answers
from clouddeploy.server.message import Response

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.exchange import Exchange

FLUSH_S, LEVELS_S = 0.2, 1.0
FOLDER = "metrics"
DATA = "/dashboard/data"
"""An open page is a request that never ends; it isn't one that waits."""
WORKER = "CLOUDDEPLOY_WORKER"


def install(app: App) -> None:
    """Count, time and log requests as the settings say; answer ``/metrics`` and ``/dashboard``."""
    from clouddeploy.server import traces

    settings = app.settings
    traces.install(app)
    if not settings.metrics and not settings.access_log:
        return
    observer = Observer(app)
    app.after.append(observer.watch())
    app.on_start.append(observer.start)
    app.on_stop.append(observer.stop)
    if settings.metrics:
        app.routes.add("GET", "/metrics", observer.answer)
    if settings.metrics and settings.dashboard:
        from clouddeploy.server import dashboard

        dashboard.install(app, observer)


class Observer:
    """Watches one worker.

    Args:
        app: its application.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        given = app.settings.run_folder
        self._own = "" if given.name else tempfile.mkdtemp(prefix="clouddeploy-metrics-")
        self.folder = Path(self._own or given) / FOLDER
        self.recorder = Recorder(self.folder, int(os.environ.get(WORKER, "0")))
        self._gatherer = Gatherer(self.folder)
        self._levels: set[tuple[str, str]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._log: AccessLog | None = None
        if app.settings.access_log:
            path = app.settings.access_log_file
            dropped = self.recorder.number(families.LOG_DROPPED)
            self._log = AccessLog(path if path.name else None, dropped.add)
        self._answers = Answers(app, self.recorder, self._log)
        self.watch = self._answers.watch

    async def start(self) -> None:
        """Keep the shared file up to date from now on."""
        self._tasks = [asyncio.ensure_future(self._flushing()), asyncio.ensure_future(self._measuring())]

    async def _flushing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self.recorder.flush()
            if self._log is not None:
                while self._log.values:
                    self._log.make()
                    await asyncio.sleep(0)  # no request waits for more than one block
                self._log.write()

    async def _measuring(self) -> None:
        while True:
            self.measure()
            await asyncio.sleep(LEVELS_S)

    def measure(self) -> None:
        """Note what there is just now: connections, requests under way, queues, versions."""
        app, number = self._app, self.recorder.number
        number(families.CONNECTIONS).set(len(app.connections))
        waiting = [one.exchange.request.path for one in app.connections if one.exchange is not None]
        number(families.IN_FLIGHT).set(sum(path != DATA for path in waiting))
        present: set[tuple[str, str]] = set()
        shares = _shares(app.models.status().models)
        for loaded in app.models.all():
            names = (loaded.name, loaded.version)
            present.add(names)
            self._answers.attach(loaded)
            number(families.LOADED, *names).set(1)
            number(families.QUEUED, *names).set(loaded.engine.facts.waiting)
            number(families.QUEUE_LIMIT, *names).set(app.settings.queue)
            number(families.LOAD_SECONDS, *names).set(loaded.load_s)
            number(families.WEIGHT, *names).set(shares.get(names, 0.0))
        for names in self._levels - present:
            for family in (families.LOADED, families.QUEUED, families.QUEUE_LIMIT, families.WEIGHT):
                number(family, *names).set(0)
        self._levels = present

    def snapshot(self) -> Snapshot:
        """What all workers have counted, and what they use now. Reads files; may be called in a thread."""
        found = self._gatherer.snapshot()
        processes.add(found)
        gpus.add(found, gpus.library())
        return found

    async def answer(self, exchange: Exchange) -> None:
        """Reply with the metrics of all workers."""
        self.recorder.flush()
        self.measure()
        kind = exposition.media_type(exchange.request.headers.get("accept", ""))
        body = await asyncio.to_thread(lambda: exposition.text(self.snapshot(), kind=kind))
        exchange.reply(Response(200, body, kind))

    async def stop(self) -> None:
        """Bring the shared file up to date for the last time, and write the rest of the log."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._log is not None:
            await asyncio.to_thread(self._log.close)
        self.recorder.close()
        if self._own:
            shutil.rmtree(self._own, ignore_errors=True)


def _shares(models: dict[str, Any]) -> dict[tuple[str, str], float]:
    """Which share of its model's requests that name no version each version should get."""
    found: dict[tuple[str, str], float] = {}
    for name, told in models.items():
        weights = told.get("weights") or ({told["default"]: 1.0} if told.get("default") else {})
        whole = sum(weights.values())
        found |= {(name, version): weight / whole for version, weight in weights.items() if whole > 0}
    return found
