"""W3C trace context (www.w3.org/TR/trace-context) in and out, and spans where OpenTelemetry is installed.

Spans are made after the answer: one for the request, in it one for its wait and one for the model's call.
They are exported by OTLP over HTTP when ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``…_TRACES_ENDPOINT``) is set;
OpenTelemetry's own environment variables tell the rest: sampling, headers, the service's name.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import re
import secrets
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clouddeploy.server.attribution import by_headers

if TYPE_CHECKING:
    from clouddeploy.server.app import App
    from clouddeploy.server.engine.batching import Batch, Engine
    from clouddeploy.server.exchange import Exchange
    from clouddeploy.server.message import Response

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
SAMPLED = 1
PAUSE_S = 0.5
MOST = 4096
"""Answers in `PAUSE_S` of which spans are made; of what comes on top, none."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Context:
    """What the header ``traceparent`` tells.

    Args:
        trace: 32 hexadecimal digits.
        parent: the caller's span, 16 of them.
        flags: bit 0: the caller records.
    """

    trace: str
    parent: str
    flags: int


def parsed(text: str) -> Context | None:
    """The context in a header; None where it isn't valid, as the standard says, which restarts the trace."""
    found = PARENT.fullmatch(text.strip())
    if found is None:
        return None
    version, trace, parent, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or not trace.strip("0") or not parent.strip("0"):
        return None
    return Context(trace, parent, int(flags, 16))


def incoming(exchange: Exchange) -> Context | None:
    """The context that the request came with."""
    text = exchange.request.head.headers.get("traceparent")
    return None if text is None else parsed(text)


def outgoing(exchange: Exchange) -> dict[str, str]:
    """Headers for a call that is made on behalf of `exchange`, such as a webhook's; none without a trace."""
    context = incoming(exchange)
    if context is None:
        return {}
    span = exchange.attributes.setdefault("span", secrets.token_hex(8))
    headers = {"traceparent": f"00-{context.trace}-{span}-{context.flags & SAMPLED:02x}"}
    state = exchange.request.head.headers.get("tracestate")
    return {**headers, "tracestate": state} if state else headers


def install(app: App, environment: Mapping[str, str] = os.environ) -> None:
    """Export spans, where OpenTelemetry is installed and is told where to send them."""
    endpoint = next((environment[name] for name in ENDPOINTS if environment.get(name)), "")
    if not endpoint or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    if importlib.util.find_spec("opentelemetry") is None or not _exporter_there():
        log.warning("no traces: install opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http")
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": "clouddeploy"}
    provider = TracerProvider(resource=Resource.create(named), id_generator=id_generator())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    Tracing(app, provider).install()


def _exporter_there() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


class Record:
    """One answer whose spans are still to be made.

    Attributes:
        batch: in which the model answered it, once that is known.
    """

    __slots__ = ("attributes", "batch", "began", "context", "ended", "failed", "name", "span", "state")

    def __init__(self, exchange: Exchange, response: Response, route: str) -> None:
        head, known = exchange.request.head, exchange.attributes
        self.context = incoming(exchange)
        self.state = head.headers.get("tracestate", "")
        self.began, self.ended = exchange.started, time.perf_counter()
        self.name = f"{head.method} {route}".strip()
        self.span = known.get("span", "")
        self.failed = response.status >= 500
        self.batch: Batch | None = known.get("batch_done")
        self.attributes: dict[str, Any] = {
            "http.request.method": head.method,
            "http.route": route,
            "url.path": head.path[:200],
            "http.response.status_code": response.status,
            "client.address": exchange.request.peer,
            "clouddeploy.request_id": exchange.id,
            "clouddeploy.examples": exchange.batch,
        }


class Tracing:
    """Makes spans of what a worker answers.

    Args:
        app: its application.
        provider: of tracers: OpenTelemetry's ``TracerProvider``.
    """

    def __init__(self, app: App, provider: Any) -> None:
        self._app, self._provider = app, provider
        self._tracer = provider.get_tracer("clouddeploy.server")
        self._records: list[Record] = []
        self._watched: weakref.WeakSet[Any] = weakref.WeakSet()
        self._task: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Watch from the worker's start to its stop."""
        self._app.after.append(self.answered)
        self._app.on_start.append(self._start)
        self._app.on_stop.append(self._stop)

    async def _start(self) -> None:
        self._task = asyncio.ensure_future(self._making())

    async def _making(self) -> None:
        while True:
            self.watch_models()
            await asyncio.sleep(PAUSE_S)
            self.make()

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self.make()
        await asyncio.to_thread(self._provider.shutdown)

    def watch_models(self) -> None:
        """Be told of every version's batches."""
        for loaded in self._app.models.all():
            self._attach(loaded.engine)

    def _attach(self, engine: Engine) -> None:
        if engine not in self._watched:
            self._watched.add(engine)
            engine.watchers.append(self._batch_done)

    def answered(self, exchange: Exchange, response: Response) -> None:
        """Note an answer whose caller records its trace, or one without a trace."""
        context = incoming(exchange)
        if (context is not None and not context.flags & SAMPLED) or len(self._records) >= MOST:
            return
        route = self._app.routes.pattern_of(exchange.request.method, exchange.request.path)
        record = exchange.attributes["record"] = Record(exchange, response, route)
        self._records.append(record)
        loaded = by_headers(self._app, response.headers)
        if loaded is not None:
            record.attributes |= {"clouddeploy.model": loaded.name, "clouddeploy.version": loaded.version}
            self._attach(loaded.engine)  # its watchers are told after this answer

    @staticmethod
    def _batch_done(batch: Batch) -> None:
        """Told before or after the answers of its requests are sent."""
        for caller in batch.callers:
            known: dict[str, Any] | None = getattr(caller, "attributes", None)
            if known is not None and "record" in known:
                known["record"].batch = batch
            elif known is not None:
                known["batch_done"] = batch

    def make(self) -> None:
        """Make the spans of what was answered."""
        records, self._records = self._records, []
        offset_s = time.time() - time.perf_counter()
        for record in records:
            self._spans(record, offset_s)

    def _spans(self, record: Record, offset_s: float) -> None:
        from opentelemetry import trace

        def ns(seconds: float) -> int:
            return int((seconds + offset_s) * 1e9)

        self._provider.id_generator.span = record.span
        whole = self._tracer.start_span(
            record.name,
            _parent(record),
            kind=trace.SpanKind.SERVER,
            attributes=record.attributes,
            start_time=ns(record.began),
        )
        inside = trace.set_span_in_context(whole)
        batch = record.batch
        if batch is not None:
            parts = (
                ("queue", record.began, batch.began),
                ("model", batch.began, batch.began + batch.seconds),
            )
            for name, began, ended in parts:
                span = self._tracer.start_span(name, inside, start_time=ns(began))
                span.set_attribute("clouddeploy.batch_examples", batch.size)
                span.end(ns(max(began, ended)))
        if record.failed:
            whole.set_status(trace.StatusCode.ERROR)
        whole.end(ns(record.ended))


def _parent(record: Record) -> Any:
    """The caller's span as OpenTelemetry's context."""
    from opentelemetry import trace
    from opentelemetry.context import Context as Around

    given = record.context
    if given is None:
        return Around()
    state = trace.TraceState.from_header([record.state]) if record.state else None
    span = trace.SpanContext(
        int(given.trace, 16), int(given.parent, 16), True, trace.TraceFlags(given.flags), state
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(span), Around())


def id_generator() -> Any:
    """OpenTelemetry's generator of ids, which gives a span the id in its attribute ``span``, once."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        span = ""

        def generate_span_id(self) -> int:
            told, self.span = self.span, ""
            return int(told, 16) if told else super().generate_span_id()

    return Ids()
