"""One function: an event of any known shape in, what its sender expects out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from clouddeploy.runtime.decode import JSON
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.function import batch_event, http_event, journal, limits
from clouddeploy.runtime.function.batch_event import Record
from clouddeploy.runtime.function.exchange import Exchange, HttpRequest, Reply
from clouddeploy.runtime.function.guarded import GuardedService
from clouddeploy.runtime.function.journal import Journal
from clouddeploy.runtime.function.settings import Settings
from clouddeploy.runtime.service import Answer

SHAPES = (
    "an HTTP request (API Gateway REST or HTTP API, function URL, load balancer)",
    "a batch of SQS, Kinesis or DynamoDB streams (Records)",
    "a scheduled event (source aws.events), which keeps the function warm",
    '{"inputs": [...]} or {"input": ...}',
    '{"body": text, "content_type": ..., "accept": ..., "isBase64Encoded": ...}',
)
_WARMERS = ("aws.events", "aws.scheduler", "serverless-plugin-warmup")


class UnknownEvent(ValueError):
    """An event that nothing can be answered to; it names the shapes that are known.

    Raised rather than answered: a sender that does not wait is served by Lambda's own retries and its
    destination for failures, which both need the invocation to fail.
    """


class Function:
    """A model behind the events of Lambda; call it as a handler.

    Args:
        service: the loaded model.
        settings: how to answer.
        log: where to write a line for each request.
    """

    def __init__(self, service: GuardedService, settings: Settings, log: Journal) -> None:
        self._service = service
        self._settings = settings
        self._log = log
        self._exchange = Exchange(service, settings.cors_origins, limits.check_body)

    def __call__(self, event: Any, context: Any = None) -> Any:
        """The answer to `event`, which ``json.dumps`` takes.

        Raises:
            UnknownEvent: it has no known shape.
            Stuck: an earlier prediction never ended; the process should end.
        """
        request_id = str(getattr(context, "aws_request_id", "") or "")
        self._service.remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
        if not isinstance(event, dict):
            raise self._unknown(event, request_id)
        if http_event.is_http(event):
            found = self._http(event, request_id)
        elif batch_event.is_batch(event):
            found = self._batch(event, request_id)
        elif "body" in event:
            found = self._enveloped(event, request_id)
        elif "inputs" in event or "input" in event:
            found = self._direct(event, request_id)
        elif event.get("source") in _WARMERS:
            self._log.request(request_id, 200, 0.0, kind="warm-up", batch=0)
            found = {"status": "ok"}
        else:
            raise self._unknown(event, request_id)
        if self._service.stuck is not None:
            raise self._service.stuck
        return found

    def _http(self, event: Mapping[str, Any], request_id: str) -> dict[str, Any]:
        started = time.perf_counter()
        request: HttpRequest | None = None
        try:
            request = http_event.parse(event)
            reply = self._exchange.reply(request, request_id)
        except WireError as error:
            reply = self._exchange.refused(error, request_id)
        origin = request.headers.get("origin", "") if request else ""
        multi = bool(request and request.multi_value)
        return self._respond(reply, request_id, started, origin, multi=multi)

    def _enveloped(self, event: Mapping[str, Any], request_id: str) -> dict[str, Any]:
        """A direct invocation with bytes of any media type, answered like an HTTP request's."""
        started = time.perf_counter()
        try:
            headers = http_event.headers_of(event)
            kind = event.get("content_type", headers.get("content-type", ""))
            accept = event.get("accept", headers.get("accept", ""))
            if not isinstance(kind, str) or not isinstance(accept, str):
                raise WireError("bad_input", "content_type or accept is no text", f"send such as {JSON}")
            reply = self._exchange.predict(http_event.body_of(event), kind, accept, request_id)
        except WireError as error:
            reply = self._exchange.refused(error, request_id)
        return self._respond(reply, request_id, started)

    def _direct(self, event: Mapping[str, Any], request_id: str) -> Any:
        """The wire contract's JSON itself, parsed by awslambdaric, which writes out the answer too."""
        started = time.perf_counter()
        traces: list[str] = []
        found, size = self._service.answer_object(event, request_id, lambda _: traces.append(journal.trace()))
        try:
            if not isinstance(found, WireError):
                limits.check_object(found)
        except WireError as error:
            found = error
        status, facts = 200, {"kind": "direct", "batch": size}
        if isinstance(found, WireError):
            status, found = found.status, json.loads(found.body())
            facts |= found | ({"trace": traces[0]} if traces else {})
        self._log.request(request_id, status, (time.perf_counter() - started) * 1e3, **facts)
        return found

    def _batch(self, event: Mapping[str, Any], request_id: str) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            batch = batch_event.parse(event)
        except ValueError as error:
            raise self._unknown(event, request_id, f": {error}") from error
        failed: list[str] = []
        worst, examples, given_up = 200, 0, False
        for record in batch.records:
            if given_up or (failed and batch.ordered):
                failed.append(record.id)
                continue
            answer = self._record(record, request_id)
            examples += answer.size
            if answer.status != 200:
                failed.append(record.id)
                worst = max(worst, answer.status)
                given_up = answer.status == 503
        again = failed[:1] if batch.checkpoint else failed
        ms = (time.perf_counter() - started) * 1e3
        facts = {"records": len(batch.records), "failed": len(failed), "batch": examples}
        self._log.request(request_id, worst, ms, kind=batch.source, **facts)
        return {"batchItemFailures": [{"itemIdentifier": name} for name in again]}

    def _record(self, record: Record, request_id: str) -> Answer:
        try:
            read = record.read()
            if read is None:
                return Answer(200, b"", JSON)
            kind = read[1] or self._settings.record_type
            reply = self._exchange.predict(read[0], kind, "", request_id)
        except WireError as error:
            reply = self._exchange.refused(error, request_id)
        if reply.answer.status != 200:
            level = "ERROR" if reply.answer.status >= 500 else "WARN"
            self._log.event(level, f"record {record.id} failed", request_id, **reply.facts)
        return reply.answer

    def _respond(
        self, reply: Reply, request_id: str, started: float, origin: str = "", *, multi: bool = False
    ) -> dict[str, Any]:
        found = self._proxied(reply, origin, multi=multi)
        try:
            limits.check_response(found, len(reply.answer.body))
        except WireError as error:
            reply = self._exchange.refused(error, request_id)
            found = self._proxied(reply, origin, multi=multi)
        self._told(reply, request_id, started, "http")
        return found

    def _proxied(self, reply: Reply, origin: str, *, multi: bool) -> dict[str, Any]:
        answer = reply.answer
        headers = self._exchange.headers_for(answer, origin)
        return http_event.response(
            answer.status, answer.body, answer.content_type, headers, multi_value=multi
        )

    def _told(self, reply: Reply, request_id: str, started: float, kind: str) -> None:
        ms = (time.perf_counter() - started) * 1e3
        self._log.request(request_id, reply.answer.status, ms, kind=kind, **reply.facts)

    def _unknown(self, event: Any, request_id: str, why: str = "") -> UnknownEvent:
        keys = ", ".join(repr(key[:40]) for key in list(event)[:8]) if isinstance(event, dict) else ""
        seen = f"an object with the keys {keys or 'none'}" if isinstance(event, dict) else "no object"
        message = f"the event is {seen}{why}; known are: {'; '.join(SHAPES)}"
        self._log.event("ERROR", message, request_id)
        return UnknownEvent(message)
