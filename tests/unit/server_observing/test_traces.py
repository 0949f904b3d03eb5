"""Trace context, and the spans that OpenTelemetry's own exporter gets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clouddeploy.server import traces
from clouddeploy.server.app import App
from clouddeploy.server.connection import Connection
from clouddeploy.server.exchange import Exchange
from clouddeploy.server.message import Head, Request
from clouddeploy.server.settings import ServerSettings
from tests.unit.server_protocols.conftest import Serve

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (GIVEN, True),
        (f"01-{TRACE}-{PARENT}-01-what-will-be", True),
        (f"00-{TRACE}-{PARENT}-01-more", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (GIVEN.upper(), False),
        (GIVEN[:-1], False),
        ("", False),
    ],
)
def test_a_context_is_taken_as_the_standard_says(text: str, valid: bool) -> None:
    found = traces.parsed(text)
    assert (found is not None) == valid
    if found is not None:
        assert (found.trace, found.parent, found.flags) == (TRACE, PARENT, 1)


def exchange(**headers: str) -> Exchange:
    async def make() -> Exchange:
        head = Head("POST", "/predict", "", headers, 0, keep=True, version="1.1", expects=False)
        return Exchange(Request(head, b""), Connection(App(ServerSettings())))

    return asyncio.run(make())


def test_calls_on_behalf_of_a_request_carry_its_trace_on() -> None:
    one = exchange(traceparent=GIVEN, tracestate="a=b")
    headers = traces.outgoing(one)
    version, trace, span, flags = headers["traceparent"].split("-")
    assert (version, trace, flags, headers["tracestate"]) == ("00", TRACE, "01", "a=b")
    assert span != PARENT
    assert traces.outgoing(one) == headers
    assert traces.outgoing(exchange()) == {}
    assert traces.outgoing(exchange(traceparent="nonsense")) == {}


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """What an OTLP collector gets."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def spans_of(bodies: list[bytes]) -> list[Any]:
    found = []
    for body in bodies:
        request = ExportTraceServiceRequest.FromString(body)
        found += [s for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
    return found


def test_a_request_is_a_span_with_its_wait_and_the_models_call_in_it(
    serve: Serve, collector: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, bodies = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    server = serve()
    server.post("/predict", {"input": [1, 2]}, traceparent=GIVEN)
    server.post("/predict", {"input": [1, 2]}, traceparent=GIVEN[:-2] + "00")
    server.get("/health", traceparent=f"00-{TRACE}-{'1' * 16}-01")
    wait = threading.Event()
    for _ in range(200):
        if len(spans_of(bodies)) >= 4:
            break
        wait.wait(0.05)
    spans = spans_of(bodies)
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    (whole,) = [span for span in spans if span.name == "POST /predict"]
    inside = {span.name: span for span in spans if span.parent_span_id == whole.span_id}
    assert whole.parent_span_id.hex() == PARENT
    assert set(inside) == {"queue", "model"}
    assert whole.start_time_unix_nano == inside["queue"].start_time_unix_nano
    assert inside["queue"].end_time_unix_nano == inside["model"].start_time_unix_nano
    assert inside["model"].end_time_unix_nano <= whole.end_time_unix_nano
    assert [span.name for span in spans if span.parent_span_id.hex() == "1" * 16] == ["GET /health"]
    assert len(spans) == 4
