"""One function: a Flask request in, what Flask makes a response of out; or a CloudEvent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from clouddeploy.runtime.cloud_function import limits
from clouddeploy.runtime.cloud_function.events import EventTaker
from clouddeploy.runtime.cloud_function.forking import end_worker
from clouddeploy.runtime.cloud_function.journal import Journal
from clouddeploy.runtime.cloud_function.settings import Settings
from clouddeploy.runtime.cloud_function.tracing import trace_of
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.function.exchange import Exchange, HttpRequest, Reply
from clouddeploy.runtime.function.guarded import GuardedService

REQUEST_HEADERS = "accept, authorization, content-type, traceparent, x-api-key, x-cloud-trace-context"
EXECUTION_ID = "Function-Execution-Id"
"""functions-framework gives each request one, unless the platform has."""
_ID_LENGTH = 64

Response = tuple[bytes, int, dict[str, str]]


class Headers(Protocol):
    """A request's headers; names in any case."""

    def get(self, key: str, default: str) -> str:
        """The header's value, those of several joined by commas."""


class Request(Protocol):
    """What is used of a Flask request (Flask, ``flask.Request``)."""

    @property
    def method(self) -> str:
        """Such as ``"POST"``."""

    @property
    def path(self) -> str:
        """Without the query."""

    @property
    def headers(self) -> Headers:
        """Its headers."""

    @property
    def content_length(self) -> int | None:
        """Bytes of the body, where the request tells."""

    def get_data(self) -> bytes:
        """Its body."""


class CloudFunction:
    """A model behind functions-framework; call it with a request.

    Args:
        service: gives the loaded model.
        settings: how to answer.
        log: where to write a line for each request.
        take: takes events.
        end: ends this process, which another takes the place of.
    """

    def __init__(
        self,
        service: Callable[[], GuardedService],
        settings: Settings,
        log: Journal,
        take: EventTaker,
        end: Callable[[], object] = end_worker,
    ) -> None:
        self._service = service
        self._settings = settings
        self._log = log
        self._take = take
        self._end = end
        self._made: Exchange | None = None

    def __call__(self, request: Request) -> Response:
        """The answer to `request`: body, status, headers."""
        started = time.perf_counter()
        headers = {name: request.headers.get(name, "") for name in ("content-type", "accept", "origin")}
        request_id = _sane(request.headers.get(EXECUTION_ID, ""))
        service = self._ready(started)
        exchange = self._exchange(service)
        try:
            reply = exchange.reply(_read(request, headers), request_id)
            limits.check_answer(reply.answer.body)
        except WireError as error:
            reply = exchange.refused(error, request_id)
        found = exchange.headers_for(reply.answer, headers["origin"])
        found["content-type"] = reply.answer.content_type
        self._told(request, reply, request_id, started)
        if service.stuck is not None:
            self._log.event("ERROR", str(service.stuck), request_id)
            self._end()
        return reply.answer.body, reply.answer.status, found

    def on_event(self, event: Any) -> None:
        """Take a CloudEvent of Pub/Sub or Cloud Storage.

        What can't succeed another time either, such as an input that is none, is told on the log and
        done with. Anything else is raised, so that the platform sends the event again where it is told to.

        Raises:
            EventFailed: it may succeed another time.
        """
        started = time.perf_counter()
        self._take(event, self._ready(started))

    def _ready(self, started: float) -> GuardedService:
        service = self._service()
        whole_s = self._settings.timeout_s
        if whole_s:
            service.remaining_ms = lambda: (whole_s - (time.perf_counter() - started)) * 1e3
        return service

    def _exchange(self, service: GuardedService) -> Exchange:
        if self._made is None:
            origins = self._settings.cors_origins
            self._made = Exchange(service, origins, limits.check_body, REQUEST_HEADERS)
        return self._made

    def _told(self, request: Request, reply: Reply, request_id: str, started: float) -> None:
        get = request.headers.get
        caller = trace_of(get("traceparent", ""), get("X-Cloud-Trace-Context", ""))
        ms = (time.perf_counter() - started) * 1e3
        self._log.request(request_id, reply.answer.status, ms, caller, kind="http", **reply.facts)


def _read(request: Request, headers: Mapping[str, str]) -> HttpRequest:
    """The request, with its body where one is wanted.

    Raises:
        WireError: ``too_large``, before any of it is read.
    """
    method = request.method.upper()
    limits.check_length(request.content_length or 0)
    return HttpRequest(method, request.path, headers, request.get_data() if method == "POST" else b"")


def _sane(request_id: str) -> str:
    """An id that headers and logs can carry: what the caller sends comes through the platform unchanged."""
    plain = request_id.isascii() and request_id.replace("-", "").isalnum()
    return request_id if plain and len(request_id) <= _ID_LENGTH else ""
