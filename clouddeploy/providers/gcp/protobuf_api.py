"""The services that Google's own clients speak to: functions and run, and their operations.

The clients' REST transports are used below their retries, so that each call is one attempt; requests
and answers are turned from and to the API's JSON by protobuf's own codec.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

TIMEOUT_S = 75.0
"""Of one request; what takes long answers at once with an operation."""

_FUNCTIONS: Final = "google.cloud.functions_v2.services.function_service.transports.rest"
_RUN: Final = "google.cloud.run_v2.services"
TRANSPORTS: Final = {
    "functions": (_FUNCTIONS, "FunctionServiceRestTransport", "google.cloud.functions_v2.types"),
    "run": (f"{_RUN}.services.transports.rest", "ServicesRestTransport", "google.cloud.run_v2.types"),
    "run.revisions": (
        f"{_RUN}.revisions.transports.rest",
        "RevisionsRestTransport",
        "google.cloud.run_v2.types",
    ),
    "run.builds": (f"{_RUN}.builds.transports.rest", "BuildsRestTransport", "google.cloud.run_v2.types"),
}
SERVICES: Final = frozenset({"functions", "run", "operations"})
_PLAIN: Final = {
    "GetOperation": ("google.longrunning.operations_pb2", "GetOperationRequest"),
    "ListOperations": ("google.longrunning.operations_pb2", "ListOperationsRequest"),
    "GetIamPolicy": ("google.iam.v1.iam_policy_pb2", "GetIamPolicyRequest"),
    "SetIamPolicy": ("google.iam.v1.iam_policy_pb2", "SetIamPolicyRequest"),
    "ListLocations": ("google.cloud.location.locations_pb2", "ListLocationsRequest"),
}
"""Methods whose requests are shared by all of Google's services."""


def transport_of(service: str, method: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Which transport makes the call, and with which parameters."""
    left = dict(params)
    if service == "operations":
        return str(left.pop("of", "functions")), left
    if service == "run" and "Revision" in method:
        return "run.revisions", left
    if service == "run" and "Build" in method:
        return "run.builds", left
    return service, left


def open_transport(key: str, credentials: Any, endpoint_url: str | None) -> Any:
    """Google's REST transport, talking to `endpoint_url` if that is given."""
    module, name, _ = TRANSPORTS[key]
    made = getattr(importlib.import_module(module), name)
    if not endpoint_url:
        return made(credentials=credentials)
    parts = urlsplit(endpoint_url)
    return made(credentials=credentials, host=parts.netloc, url_scheme=parts.scheme)


def call(transport: Any, key: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Make one attempt of one call.

    Raises:
        google.protobuf.json_format.ParseError: the parameters don't fit the request.
        google.api_core.exceptions.GoogleAPICallError: refused.
    """
    from google.protobuf import empty_pb2, json_format  # noqa: F401 - deletions answer with an Empty

    stub = getattr(transport, re.sub(r"(?<!^)(?=[A-Z])", "_", method).lower())
    request = _request(key, method, params)
    answer = stub(request, timeout=TIMEOUT_S)
    if answer is None:
        return {}
    message = type(answer).pb(answer) if hasattr(type(answer), "pb") else answer
    found: dict[str, Any] = json_format.MessageToDict(message)
    return found


def _request(key: str, method: str, params: Mapping[str, Any]) -> Any:
    from google.protobuf import json_format

    if method in _PLAIN:
        module, name = _PLAIN[method]
        plain = getattr(importlib.import_module(module), name)()
        return json_format.ParseDict(dict(params), plain)
    kind = getattr(importlib.import_module(TRANSPORTS[key][2]), f"{method}Request")
    request = kind()
    json_format.ParseDict(dict(params), kind.pb(request))
    return request
