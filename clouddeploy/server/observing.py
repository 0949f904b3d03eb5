"""Watches what a worker does: metrics, access log, slow requests; answers ``/metrics``.

What it costs a request is one look-up and one append; everything else is done for many requests at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouddeploy.monitoring import exposition, families, gpus, processes
from clouddeploy.monitoring.access_log import Lines, Record, Writer, rest
from clouddeploy.monitoring.gathering import Gatherer, Snapshot
from clouddeploy.monitoring.recording import OTHER, Number, Recorder
from clouddeploy.runtime.errors import STATUS
from clouddeploy.server.message import Head, Headers, Response

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.engine.batching import Batch
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models import Loaded

FLUSH_S, LEVELS_S = 0.2, 1.0
MOST_KNOWN = 4096
"""Combinations of path, status and headers that are remembered; then all are forgotten."""
SLICE = 256
"""Lines of the access log that are made in one turn of the event loop."""
FOLDER = "metrics"
DATA = "/dashboard/data"
"""An open page is a request that never ends; it isn't one that waits."""
WORKER = "CLOUDDEPLOY_WORKER"
CODE = re.compile(rb'\{"error":\{"code":"([a-z_]+)"')
CODE_HEADER = "x-clouddeploy-error"
NAMELESS = frozenset(("/predict", "/batch_predict", "/invocations"))
"""Paths that predict without naming a model."""
TOLD = frozenset(("key", "label", "gone"))
"""Of an exchange's attributes, what the access log tells."""
Note = Callable[[float], Any]
Known = tuple[Note, Any]
"""What takes the time of an answer of one kind, and the end of its line in the access log."""
log = logging.getLogger(__name__)


def _nothing(took: float) -> Any:
    """What counted before the first answer."""


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
        self._known: dict[tuple[str, str, int, Headers], Known] = {}
        self._errors: dict[tuple[str, str, str, Headers], Number] = {}
        self._watched: weakref.WeakSet[Any] = weakref.WeakSet()
        self._levels: set[tuple[str, str]] = set()
        self._records: list[Record] = []
        self._lines: Lines | None = None
        self._writer: Writer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        if app.settings.access_log:
            path = app.settings.access_log_file
            dropped = self.recorder.number(families.LOG_DROPPED)
            self._lines, self._writer = Lines(), Writer(path if path.name else None, dropped.add)

    def watch(self) -> Callable[[Exchange, Response], None]:
        """What is to be called with each response.

        It is on every request's way, so each step counts: what is like the answer before isn't looked up.
        """
        known, find, odd, clock = self._known, self._find, self._odd, time.perf_counter
        slow_s = self._app.settings.slow_ms / 1000 or float("inf")
        last_head: Head | None = None
        last_headers: Headers | None = None
        last_status = 0
        last_note: Note = _nothing

        def count(exchange: Exchange, response: Response) -> None:
            nonlocal last_head, last_headers, last_status, last_note
            took = clock() - exchange.started
            head, headers, status = exchange.request.head, response.headers, response.status
            if head is not last_head or headers is not last_headers or status != last_status:
                try:
                    last_note = known[head.method, head.path, status, headers][0]
                    last_head, last_headers, last_status = head, headers, status
                except KeyError:
                    last_head, last_note = None, find(exchange, response)[0]
            last_note(took)
            if status >= 400 or took > slow_s or exchange.gone:
                odd(exchange, response, took)

        return count if self._lines is None else self._watch_and_log()

    def _watch_and_log(self) -> Callable[[Exchange, Response], None]:
        """As above, with a line for each."""
        known, find, odd, clock = self._known, self._find, self._odd, time.perf_counter
        slow_s = self._app.settings.slow_ms / 1000 or float("inf")
        keep, more = self._records.append, self._more
        last_head: Head | None = None
        last_headers: Headers | None = None
        last_status = 0
        last_note: Note = _nothing
        last_end: Any = None

        def count_and_log(exchange: Exchange, response: Response) -> None:
            nonlocal last_head, last_headers, last_status, last_note, last_end
            now, request = clock(), exchange.request
            head, headers, status = request.head, response.headers, response.status
            if head is not last_head or headers is not last_headers or status != last_status:
                try:
                    last_note, last_end = known[head.method, head.path, status, headers]
                    last_head, last_headers, last_status = head, headers, status
                except KeyError:
                    last_head = None
                    last_note, last_end = find(exchange, response)
            took = now - exchange.started
            last_note(took)
            end, told = last_end, exchange._attributes  # asking for `attributes` would make them
            if "traceparent" in head.headers or (told and not TOLD.isdisjoint(told)):
                end = more(end, exchange)
            sizes = len(request.body), len(response.body)
            keep((now, took, exchange._id or exchange.id, exchange.batch, *sizes, request.peer, end))
            if status >= 400 or took > slow_s or exchange.gone:
                odd(exchange, response, took)

        return count_and_log

    def _find(self, exchange: Exchange, response: Response) -> Known:
        """What counts answers like this one."""
        head, status = exchange.request.head, response.status
        route = self._app.routes.pattern_of(head.method, head.path)
        loaded = by_headers(self._app, response.headers)
        told = loaded is not None
        loaded = loaded or by_name(self._app, exchange)
        model, version = (loaded.name, loaded.version) if loaded is not None else ("", "")
        if loaded is not None:
            self._attach(loaded)
        more = {"model": model, "version": version} if model else {}
        histogram = self.recorder.histogram(
            families.ANSWERED, head.method, route or OTHER, model, version, str(status)
        )
        end = rest(head.method, route, head.path, status, more)
        found = (histogram.note, end if self._lines is None else self._lines.end(end))
        if told or loaded is None:  # else an attribute tells it, which isn't in the key
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[head.method, head.path, status, response.headers] = found
        return found

    def _more(self, end: Any, exchange: Exchange) -> Any:
        """The end of a line with what is known of this one request."""
        from clouddeploy.server.traces import incoming

        assert self._lines is not None
        known = exchange.attributes
        values: dict[str, Any] = {name: known[name] for name in sorted(TOLD) if name in known}
        context = incoming(exchange)
        if context is not None:
            values["trace"], values["parent"] = context.trace, context.parent
        members = json.dumps(values, separators=(",", ":"), default=str)[1:-1]
        return self._lines.end(bytes(end) + b"," + members.encode()) if values else end

    def _odd(self, exchange: Exchange, response: Response, took: float) -> None:
        """Note an answer that isn't as it should be."""
        if exchange.gone:
            self.recorder.number(families.GONE).add()
        if response.status >= 400:
            self._failed(exchange, response)
        slow_ms = self._app.settings.slow_ms
        if slow_ms and took * 1000 > slow_ms:
            head = exchange.request.head
            log.warning(
                "slow request %s: %s %s answered %d after %.0f ms (%d examples, %d bytes)",
                *(exchange.id, head.method, head.path[:200], response.status, took * 1000),
                *(exchange.batch, len(exchange.request.body)),
            )

    def _failed(self, exchange: Exchange, response: Response) -> None:
        """Count an error. Cheap for those that repeat: a server that refuses has no time to lose."""
        head, code = exchange.request.head, code_of(response)
        key = (head.method, head.path, code, response.headers)
        number = self._errors.get(key)
        if number is None:
            told = by_headers(self._app, response.headers)
            loaded = told or by_name(self._app, exchange)
            route = self._app.routes.pattern_of(head.method, head.path) or OTHER
            names = (loaded.name, loaded.version) if loaded is not None else ("", "")
            number = self.recorder.number(families.ERRORS, route, *names, code)
            if told is not None or loaded is None:
                if len(self._errors) >= MOST_KNOWN:
                    self._errors.clear()
                self._errors[key] = number
        number.add()

    def _attach(self, loaded: Loaded) -> None:
        """Be told of its batches."""
        engine = loaded.engine
        if engine in self._watched:
            return
        self._watched.add(engine)
        names = (loaded.name, loaded.version)
        sizes = self.recorder.histogram(families.BATCH_EXAMPLES, *names).note
        queued = self.recorder.histogram(families.QUEUE_SECONDS, *names).extend
        took = self.recorder.histogram(families.MODEL_SECONDS, *names).note

        def batch_done(batch: Batch) -> None:
            sizes(batch.size)
            took(batch.seconds)
            began = batch.began
            queued([began - caller.started for caller in batch.callers])

        engine.watchers.append(batch_done)

    async def start(self) -> None:
        """Keep the shared file up to date from now on."""
        self._tasks = [asyncio.ensure_future(self._flushing()), asyncio.ensure_future(self._measuring())]

    async def _flushing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self.recorder.flush()
            await self._log(pausing=True)

    async def _log(self, *, pausing: bool) -> None:
        """Make lines of what was answered, a few at a time so that no request waits for long."""
        records = self._records
        if not records or self._lines is None or self._writer is None:
            return
        parts = []
        while records:
            some = records[:SLICE]
            del records[:SLICE]
            parts.append(self._lines.of(some))
            if pausing:
                await asyncio.sleep(0)
        # At once: each time it wakes, the writer's thread costs the loop a pause.
        self._writer.write(b"".join(parts))

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
            self._attach(loaded)
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
        await self._log(pausing=False)
        if self._writer is not None:
            await asyncio.to_thread(self._writer.close)
        self.recorder.close()
        if self._own:
            shutil.rmtree(self._own, ignore_errors=True)


def by_headers(app: App, headers: Headers) -> Loaded | None:
    """Which version answered: its headers are in the response's."""
    if not headers:
        return None
    names = set(headers)
    return next((one for one in app.models.all() if one.headers and names.issuperset(one.headers)), None)


def by_name(app: App, exchange: Exchange) -> Loaded | None:
    """Which version was asked, where no answer tells it: what the path names, or the only one there is."""
    known = exchange.attributes
    name, version = known.get("model"), known.get("version") or known.get("arm")
    if name is None and exchange.request.path not in NAMELESS:
        return None
    found = [one for one in app.models.all() if name in (None, one.name) and version in (None, one.version)]
    return found[0] if len(found) == 1 else None


def _shares(models: dict[str, Any]) -> dict[tuple[str, str], float]:
    """Which share of its model's requests that name no version each version should get."""
    found: dict[tuple[str, str], float] = {}
    for name, told in models.items():
        weights = told.get("weights") or ({told["default"]: 1.0} if told.get("default") else {})
        whole = sum(weights.values())
        found |= {(name, version): weight / whole for version, weight in weights.items() if whole > 0}
    return found


def code_of(response: Response) -> str:
    """The error code in a response, in whatever frame; one of `STATUS`, or ``other``."""
    for name, value in response.headers:
        if name == CODE_HEADER:
            return value if value in STATUS else OTHER
    found = CODE.match(response.body)
    code = found[1].decode() if found else ""
    return code if code in STATUS else OTHER
