"""What a request over HTTP is answered with, whichever platform brings it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clouddeploy.runtime.decode import JSON
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.function import cors, journal
from clouddeploy.runtime.function.guarded import GuardedService
from clouddeploy.runtime.service import Answer

_ALIVE = ("ping", "health")
_ALLOW = "POST, GET, HEAD, OPTIONS"


@dataclass(frozen=True)
class HttpRequest:
    """One request.

    Args:
        method: in upper case.
        path: without the query.
        headers: lower-case names; several of one name joined by commas.
        body: decoded from base64 where it was.
        multi_value: whether the answer's headers must be ``multiValueHeaders`` (load balancers).
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    multi_value: bool = False


@dataclass(frozen=True)
class Reply:
    """An answer and what the log should say of it."""

    answer: Answer
    facts: Mapping[str, Any]


class Exchange:
    """A model's answers to requests over HTTP.

    Args:
        service: the loaded model.
        origins: origins whose pages may call it.
        check_body: refuses a body that the platform wouldn't have let through, by a `WireError`.
        request_headers: headers that pages of other origins may send.
    """

    def __init__(
        self,
        service: GuardedService,
        origins: tuple[str, ...],
        check_body: Callable[[bytes], object],
        request_headers: str = cors.REQUEST_HEADERS,
    ) -> None:
        self._service = service
        self._origins = origins
        self._check_body = check_body
        self._request_headers = request_headers

    def reply(self, request: HttpRequest, request_id: str) -> Reply:
        """The answer to `request`, but for what `headers_for` adds.

        Raises:
            WireError: the body is too large.
        """
        if request.method == "POST":
            headers = request.headers
            return self.predict(
                request.body, headers.get("content-type", ""), headers.get("accept", ""), request_id
            )
        if request.method == "OPTIONS" and self._origins:
            origin = request.headers.get("origin", "")
            more = cors.preflight(self._origins, origin, self._request_headers)
            return self._plain(204, b"", more, request_id)
        last = request.path.rstrip("/").rpartition("/")[2]  # an API's stage may stand before it
        if request.method in ("GET", "HEAD") and last in _ALIVE:
            return self._plain(200, b'{"status":"ok"}' if request.method == "GET" else b"", {}, request_id)
        message = f"the method is {request.method[:20]} on {request.path[:80]}"
        error = WireError(
            "method_not_allowed", message, "POST the inputs; GET /ping tells whether it is alive"
        )
        return self.refused(error, request_id, {"allow": _ALLOW})

    def predict(self, body: bytes, content_type: str, accept: str, request_id: str) -> Reply:
        """The answer to a request for predictions.

        Raises:
            WireError: the body is too large.
        """
        self._check_body(body)
        traces: list[str] = []
        answer = self._service.answer(
            body, content_type, accept, request_id, lambda _: traces.append(journal.trace())
        )
        facts: dict[str, Any] = {"batch": answer.size, "bytes_in": len(body), "bytes_out": len(answer.body)}
        if answer.status >= 400:
            facts["error"] = json.loads(answer.body)["error"]
        if traces:
            facts["trace"] = traces[0]
        return Reply(answer, facts)

    def refused(self, error: WireError, request_id: str, headers: Mapping[str, str] | None = None) -> Reply:
        """The answer to a request that `error` stands in the way of."""
        reply = self._plain(error.status, error.body(), headers or {}, request_id)
        facts = {"batch": 0, "error": {"code": error.code, "message": error.message, "fix": error.fix}}
        return Reply(reply.answer, facts)

    def headers_for(self, answer: Answer, origin: str) -> dict[str, str]:
        """The headers of `answer` to a request from a page of `origin`, which may be empty."""
        headers = {**answer.headers, **cors.allowed(self._origins, origin)}
        if answer.status == 503:
            headers["retry-after"] = "1"
        return headers

    def _plain(self, status: int, body: bytes, headers: Mapping[str, str], request_id: str) -> Reply:
        named = dict(headers)
        if self._service.release:
            named["x-clouddeploy-model"] = self._service.release
        if request_id:
            named["x-request-id"] = request_id
        return Reply(Answer(status, body, JSON, named), {"batch": 0})
