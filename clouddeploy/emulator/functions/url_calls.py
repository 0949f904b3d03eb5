"""Requests to function URLs ("Invoking Lambda function URLs", Lambda Developer Guide)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from clouddeploy.emulator.call import CREDENTIAL, Refused
from clouddeploy.emulator.functions import urls
from clouddeploy.emulator.functions.events import Place, event_of, failure, response_of, signed_by
from clouddeploy.emulator.functions.invoking import LIMIT, run
from clouddeploy.emulator.functions.policies import public
from clouddeploy.emulator.functions.urls import Url
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.settings import ACCOUNT

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

CORS = "access-control-"


def identity_in(request: Request) -> str | None:
    """The id of the function URL that the request is for, by path or by host name; None for others."""
    if request.target.startswith(urls.PREFIX):
        return request.raw_path.removeprefix(urls.PREFIX).partition("/")[0]
    host = request.headers.get("host", "")
    return host.partition(".")[0] if ".lambda-url." in host else None


def answer(cloud: Cloud, request: Request, identity: str) -> Response:
    """The function's answer, or the refusal that the URL gives by itself."""
    cloud.count("lambda", "InvokeFunctionUrl")
    url = urls.find(identity)
    if url is None:
        return _message(403, "Forbidden")
    origin = request.headers.get("origin", "")
    if url.cors and request.method == "OPTIONS" and "access-control-request-method" in request.headers:
        return Response(200, _cors(url, origin, preflight=True))
    response = _answer(cloud, request, url)
    if url.cors:
        # The URL's own CORS configuration overrides what the function says.
        kept = [(k, v) for k, v in response.headers if not k.lower().startswith(CORS)]
        response = Response(response.status, [*kept, *_cors(url, origin, preflight=False)], response.body)
    return response


def _answer(cloud: Cloud, request: Request, url: Url) -> Response:
    signed = CREDENTIAL.search(request.headers.get("authorization", ""))
    if url.auth == "AWS_IAM" and (signed is None or signed[2] != "lambda"):
        return _message(403, "Forbidden")
    if url.auth == "NONE" and not public(url.region, url.name, url.qualifier):
        return _message(403, "Forbidden")
    if len(request.body) > LIMIT:
        return _message(413, "Request Entity Too Large")
    place = Place(
        api=url.identity,
        domain=f"{url.identity}.lambda-url.{url.region}.on.aws",
        path=_path(request),
        account=ACCOUNT if url.auth == "AWS_IAM" else "anonymous",
        authorizer=signed_by(_key(request)) if url.auth == "AWS_IAM" else None,
    )
    payload = json.dumps(event_of(request, place)).encode()
    try:
        outcome = run(cloud, url.region, url.name, url.qualifier, payload, request_id=place.request_id)
    except Refused as error:
        return _message(error.status if error.status in (403, 404, 429) else 502, error.message)
    response = failure() if outcome.failed else response_of(outcome.body)
    response.headers.append(("x-amzn-RequestId", outcome.request_id))
    return response


def _path(request: Request) -> str:
    path = request.raw_path
    if path.startswith(urls.PREFIX):
        path = path.removeprefix(urls.PREFIX).partition("/")[2]
    return "/" + path.lstrip("/")


def _key(request: Request) -> str:
    return request.headers["authorization"].partition("Credential=")[2].partition("/")[0]


def _cors(url: Url, origin: str, *, preflight: bool) -> list[tuple[str, str]]:
    """The headers of the URL's CORS configuration; none for an origin that isn't allowed."""
    cors, allowed = url.cors, url.cors.get("AllowOrigins", [])
    if not origin or ("*" not in allowed and origin not in allowed):
        return []
    found = [("Access-Control-Allow-Origin", "*" if "*" in allowed else origin)]
    if "*" not in allowed:
        found.append(("Vary", "Origin"))
    if cors.get("AllowCredentials"):
        found.append(("Access-Control-Allow-Credentials", "true"))
    names = {"ExposeHeaders": "Expose-Headers"}
    if preflight:
        names = {"AllowMethods": "Allow-Methods", "AllowHeaders": "Allow-Headers"}
        if cors.get("MaxAge") is not None:
            found.append(("Access-Control-Max-Age", str(cors["MaxAge"])))
    for member, header in names.items():
        if cors.get(member):
            found.append((f"Access-Control-{header}", ",".join(cors[member])))
    return found


def _message(status: int, text: str) -> Response:
    return Response(status, [("Content-Type", "application/json")], json.dumps({"Message": text}).encode())
