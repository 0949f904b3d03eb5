"""Refusals as Google's APIs word them, and a transport that answers what it was told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import requests
from google.api_core.exceptions import GoogleAPICallError, from_http_response

from clouddeploy.providers.gcp.client import Gcp


def refusal(
    http: int,
    message: str = "no",
    *,
    status: str = "",
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
) -> GoogleAPICallError:
    """A refusal of an API of the newer kind, as Google's client raises it."""
    details = []
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        details = [
            {"@type": kind, "reason": reason, "domain": "googleapis.com", "metadata": dict(metadata or {})}
        ]
    return _raised(http, {"error": {"code": http, "message": message, "status": status, "details": details}})


def storage_refusal(http: int, reason: str, message: str = "no") -> GoogleAPICallError:
    """A refusal of Cloud Storage."""
    errors = [{"message": message, "domain": "global", "reason": reason}]
    return _raised(http, {"error": {"code": http, "message": message, "errors": errors}})


def _raised(http: int, payload: Mapping[str, Any]) -> GoogleAPICallError:
    response = requests.Response()
    response.status_code = http
    response._content = json.dumps(payload).encode()
    response.request = requests.Request("GET", "https://example.googleapis.com/v2/x").prepare()
    error: GoogleAPICallError = from_http_response(response)  # type: ignore[no-untyped-call]
    return error


class Scripted:
    """A transport that answers, or raises, what it was told, in order; the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []

    def __call__(self, service: str, method: str, params: Mapping[str, Any]) -> Any:
        self.calls.append((service, method, dict(params)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def seam(*answers: Any) -> tuple[Gcp, Scripted]:
    """A seam whose transport answers what it was told."""
    transport = Scripted(*answers)
    given = {"project": "digits-project", "region": "europe-west1", "credentials": "anonymous"}
    return Gcp(transport=transport, retry_delay_s=0, **given), transport  # type: ignore[arg-type]
