"""CORS as an HTTP API answers it ("Configure CORS for HTTP APIs", API Gateway Developer Guide)."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.http.message import Request, Response

MANAGED = frozenset({
    "access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers",
    "access-control-expose-headers", "access-control-max-age", "access-control-allow-credentials",
})  # fmt: skip


def is_preflight(request: Request) -> bool:
    """Whether a browser asks before it sends the real request."""
    return request.method == "OPTIONS" and "access-control-request-method" in request.headers


def preflight(rules: Mapping[str, Any], request: Request) -> Response:
    """The answer to a preflight, which never reaches the function."""
    headers = _allowed(rules, request)
    if headers:
        for rule, name in (("allowMethods", "methods"), ("allowHeaders", "headers")):
            if rules.get(rule):
                headers.append((f"access-control-allow-{name}", ",".join(rules[rule])))
        if rules.get("maxAge"):
            headers.append(("access-control-max-age", str(int(rules["maxAge"]))))
    return Response(204, headers)


def mark(rules: Mapping[str, Any], request: Request, response: Response) -> Response:
    """`response` with the API's CORS headers in place of the function's own."""
    kept = [(k, v) for k, v in response.headers if k.lower() not in MANAGED]
    headers = _allowed(rules, request)
    if headers and rules.get("exposeHeaders"):
        headers.append(("access-control-expose-headers", ",".join(rules["exposeHeaders"])))
    return Response(response.status, kept + headers, response.body)


def _allowed(rules: Mapping[str, Any], request: Request) -> list[tuple[str, str]]:
    origin = request.headers.get("origin", "")
    origins = rules.get("allowOrigins") or ()
    if not origin or not any(fnmatch.fnmatchcase(origin, pattern) for pattern in origins):
        return []
    found = [("access-control-allow-origin", "*" if "*" in origins else origin)]
    if rules.get("allowCredentials") in (True, "true"):
        found.append(("access-control-allow-credentials", "true"))
    return found
