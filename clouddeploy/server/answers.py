"""What is noted of each answer, and of each batch of a model.

It is on every request's way, where a tenth of a microsecond counts: what is like the answer before isn't
looked up, values are put into flat lists, and all else is done for many answers at once.
"""

from __future__ import annotations

import json
import logging
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clouddeploy.monitoring import families
from clouddeploy.monitoring.access_log import BLOCK, AccessLog, rest
from clouddeploy.monitoring.recording import OTHER, Number, Recorder
from clouddeploy.server.attribution import by_headers, by_name, code_of
from clouddeploy.server.message import Head, Headers, Response
from clouddeploy.server.traces import incoming

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.engine.batching import Batch
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.models import Loaded

MOST_KNOWN = 4096
"""Combinations of path, status and headers that are remembered; then all are forgotten."""
TOLD = frozenset(("key", "label", "gone"))
"""Of an exchange's attributes, what the access log tells."""
Watcher = Callable[["Exchange", Response], None]
Note = Callable[[float], Any]
Known = tuple[Note, bytes]
"""What takes the time of an answer of one kind, and the end of its line in the access log."""
log = logging.getLogger(__name__)


def _nothing(took: float) -> Any:
    """What counted before the first answer."""


class Answers:
    """Notes what one worker answers.

    Args:
        app: its application.
        recorder: counts.
        access_log: gets a line for each answer; None where none is kept.
    """

    def __init__(self, app: App, recorder: Recorder, access_log: AccessLog | None) -> None:
        self._app, self._recorder, self._log = app, recorder, access_log
        self._known: dict[tuple[str, str, int, Headers], Known] = {}
        self._errors: dict[tuple[str, str, str, Headers], Number] = {}
        self._watched: weakref.WeakSet[Any] = weakref.WeakSet()

    def watch(self) -> Watcher:
        """What is to be called with each response."""
        if self._log is not None:
            return self._watch_and_log(self._log.values)
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

        return count

    def _watch_and_log(self, values: list[Any]) -> Watcher:
        """As above, with a line for each."""
        known, find, odd, clock = self._known, self._find, self._odd, time.perf_counter
        slow_s = self._app.settings.slow_ms / 1000 or float("inf")
        keep, more = values.extend, self._more
        last_head: Head | None = None
        last_headers: Headers | None = None
        last_status = 0
        last_note: Note = _nothing
        last_end = b""
        traced = False

        def count_and_log(exchange: Exchange, response: Response) -> None:
            nonlocal last_head, last_headers, last_status, last_note, last_end, traced
            now, request = clock(), exchange.request
            head, headers, status = request.head, response.headers, response.status
            if head is not last_head or headers is not last_headers or status != last_status:
                last_head, traced = None, "traceparent" in head.headers
                try:
                    last_note, last_end = known[head.method, head.path, status, headers]
                    last_head, last_headers, last_status = head, headers, status
                except KeyError:
                    last_note, last_end = find(exchange, response)
            took = now - exchange.started
            last_note(took)
            end, told = last_end, exchange._attributes  # asking for `attributes` would make them
            if traced or (told and not TOLD.isdisjoint(told)):
                end = more(end, exchange)
            size, sent = len(request.body), len(response.body)
            keep((now, took, exchange.id, exchange.batch, size, sent, request.peer, end))
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
            self.attach(loaded)
        more = {"model": model, "version": version} if model else {}
        histogram = self._recorder.histogram(
            families.ANSWERED, head.method, route or OTHER, model, version, str(status)
        )
        found = histogram.note, rest(head.method, route, head.path, status, more)
        if told or loaded is None:  # else an attribute tells it, which isn't in the key
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[head.method, head.path, status, response.headers] = found
        return found

    @staticmethod
    def _more(end: bytes, exchange: Exchange) -> bytes:
        """The end of a line with what is known of this one request."""
        known = exchange.attributes
        values: dict[str, Any] = {name: known[name] for name in sorted(TOLD) if name in known}
        context = incoming(exchange)
        if context is not None:
            values["trace"], values["parent"] = context.trace, context.parent
        members = json.dumps(values, separators=(",", ":"), default=str)[1:-1]
        return end + b"," + members.encode() if values else end

    def _odd(self, exchange: Exchange, response: Response, took: float) -> None:
        """Note an answer that isn't as it should be."""
        if exchange.gone:
            self._recorder.number(families.GONE).add()
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
            number = self._recorder.number(families.ERRORS, route, *names, code)
            if told is not None or loaded is None:
                if len(self._errors) >= MOST_KNOWN:
                    self._errors.clear()
                self._errors[key] = number
        number.add()

    def attach(self, loaded: Loaded) -> None:
        """Be told of its batches."""
        engine = loaded.engine
        if engine in self._watched:
            return
        self._watched.add(engine)
        names = (loaded.name, loaded.version)
        sizes = self._recorder.histogram(families.BATCH_EXAMPLES, *names).note
        queued = self._recorder.histogram(families.QUEUE_SECONDS, *names).extend
        took = self._recorder.histogram(families.MODEL_SECONDS, *names).note
        access_log = self._log
        values = access_log.values if access_log is not None else ()

        def batch_done(batch: Batch) -> None:
            sizes(batch.size)
            took(batch.seconds)
            began = batch.began
            queued([began - caller.started for caller in batch.callers])
            if len(values) >= BLOCK and access_log is not None:
                access_log.make()

        engine.watchers.append(batch_done)
