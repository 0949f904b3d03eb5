"""The front of Cloud Run: who may call, which revision gets a request, what is noted of it.

A service answers at ``/_run/<project>/<region>/<service>``, one tag of it at ``…/<tag>---<service>``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from clouddeploy.emulator.google import logs
from clouddeploy.emulator.google.call import ANYBODY
from clouddeploy.emulator.google.principals import EVERYTHING, principal_of
from clouddeploy.emulator.google.run import traffic
from clouddeploy.emulator.http.message import Request, Response

if TYPE_CHECKING:
    from clouddeploy.emulator.google.cloud import Google

PREFIX = "/_run/"
INVOKER = "roles/run.invoker"
OWNERS = ("roles/owner", "roles/editor", "roles/run.admin", INVOKER)
BODY_LIMIT = 32 * 1024 * 1024
"""Bytes of a request over HTTP/1 ("Cloud Run Quotas and Limits": 32 MiB)."""
TRACE = "x-cloud-trace-context"
INTERNAL = ("INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER")
PAGES = {
    401: ("Unauthorized", "Your client does not have permission to the requested URL <code>{path}</code>."),
    403: (
        "Forbidden",
        "Your client does not have permission to get URL <code>{path}</code> from this server.",
    ),
    404: ("Page not found", "The requested URL was not found on this server."),
    413: ("Request Entity Too Large", "Your client issued a request that was too large."),
    503: ("Server Error", "The service you requested is not available yet."),
}


def answer(cloud: Google, request: Request) -> Response | None:
    """The answer of a service, or None when the request isn't for one."""
    if not request.target.startswith(PREFIX):
        return None
    project, region, name, path = _taken_apart(request.target)
    tag, dashes, service_id = name.rpartition("---")
    if not dashes:
        tag, service_id = "", name
    service = cloud.services.get(f"projects/{project}/locations/{region}/services/{service_id}")
    if service is None:
        return _page(404, path)
    principal = principal_of(_token(request))
    if service.get("ingress") in INTERNAL and principal in (ANYBODY, EVERYTHING, None):
        return _page(404, path)  # "Restrict network ingress": a request that isn't let in gets a 404
    refused = _refused(cloud, service, principal)
    if refused:
        return _noted(cloud, service, None, request, _page(refused, path), 0.0)
    if len(request.body) > BODY_LIMIT:
        return _page(413, path)
    revision = traffic.pick(service, tag)
    if revision is None:
        return _page(404 if tag else 503, path)
    return _forward(cloud, service, f"{service['name']}/revisions/{revision}", request, path)


def _taken_apart(target: str) -> tuple[str, str, str, str]:
    start, mark, query = target.removeprefix(PREFIX).partition("?")
    project, region, name, *rest = (
        [*start.split("/", 3), "", ""][:4] if start.count("/") < 2 else start.split("/", 3)
    )
    return project, region, name, f"/{rest[0] if rest else ''}{mark}{query}"


def _token(request: Request) -> str:
    # "X-Serverless-Authorization" goes before ("Authenticating service-to-service", Cloud Run).
    return request.headers.get("x-serverless-authorization") or request.headers.get("authorization", "")


def _refused(cloud: Google, service: Mapping[str, Any], principal: str | None) -> int:
    """The status of a caller who may not, or 0."""
    if service.get("invokerIamDisabled"):
        return 0
    members = cloud.policies.members(service["name"], INVOKER)
    if "allUsers" in members:
        return 0
    if principal is None:
        return 401
    if principal == ANYBODY:
        return 403
    if principal == EVERYTHING or "allAuthenticatedUsers" in members:
        return 0
    named = f"serviceAccount:{principal}"
    project = f"projects/{service['name'].split('/')[1]}"
    wide = any(named in cloud.policies.members(project, role) for role in OWNERS)
    return 0 if wide or named in members or f"user:{principal}" in members else 403


def _forward(
    cloud: Google, service: Mapping[str, Any], revision: str, request: Request, path: str
) -> Response:
    trace = request.headers.get(TRACE) or f"{secrets.token_hex(16)}/{secrets.randbits(63)};o=1"
    headers = {**request.headers, TRACE: trace, "x-forwarded-proto": "http"}
    raw = [(k, v) for k, v in request.raw_headers if k.lower() not in (TRACE, "x-serverless-authorization")]
    raw += [("X-Cloud-Trace-Context", trace), ("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "127.0.0.1")]
    inner = Request(request.method, path, headers, raw, request.body)
    began = time.monotonic()
    response = cloud.plane.handle(revision, inner)
    return _noted(cloud, service, revision, request, response, time.monotonic() - began, trace=trace)


def _noted(
    cloud: Google,
    service: Mapping[str, Any],
    revision: str | None,
    request: Request,
    response: Response,
    elapsed_s: float,
    *,
    trace: str = "",
) -> Response:
    """Count the request and write its entry of the request log."""
    project = service["name"].split("/")[1]
    name = revision or f"{service['name']}/revisions/{traffic.pick(service) or ''}"
    cloud.requests.ran(name, response.status, elapsed_s)
    entry: dict[str, Any] = {
        "severity": "INFO" if response.status < 400 else "WARNING" if response.status < 500 else "ERROR",
        "httpRequest": {
            "requestMethod": request.method,
            "requestUrl": f"{cloud.url}{request.target}",
            "requestSize": str(len(request.body)),
            "status": response.status,
            "responseSize": str(len(response.body)),
            "latency": f"{elapsed_s:.9f}s",
            "protocol": "HTTP/1.1",
            "serverIp": "127.0.0.1",
            "remoteIp": "127.0.0.1",
        },
    }
    if trace:
        entry["trace"] = f"projects/{project}/traces/{trace.partition('/')[0]}"
    log = f"projects/{project}/logs/{quote('run.googleapis.com/requests', safe='')}"
    cloud.logs.add(log, logs.resource_of(name), entry)
    return response


def _page(status: int, path: str) -> Response:
    title, text = PAGES[status]
    told = text.format(path=path.partition("?")[0])
    body = (
        f"\n<html><head>\n<title>{status} {title}</title>\n</head>\n<body text=#000000 bgcolor=#ffffff>\n"
        f"<h1>Error: {title}</h1>\n<h2>{told}</h2>\n<h2></h2>\n</body></html>\n"
    )
    headers = [("Content-Type", "text/html; charset=UTF-8")]
    if status in (401, 403):
        headers.append(("WWW-Authenticate", "Bearer"))
    return Response(status, headers, body.encode())
