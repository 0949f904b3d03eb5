"""The invoke URL of HTTP APIs: ``/_http_api/<api id>/<path>``, or the API's own host name in the Host header.

The second is for clients that can be told to connect elsewhere, such as ``curl --connect-to``.
"""

from __future__ import annotations

import json
import logging
import re
import time
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import unquote

from clouddeploy.emulator.backends import functions, http_apis
from clouddeploy.emulator.backends.http_apis import Api, Route
from clouddeploy.emulator.backends.turns import turn
from clouddeploy.emulator.call import Call, Refused, json_answer
from clouddeploy.emulator.functions.events import FAILED, Place, event_of, response_of, signed_by
from clouddeploy.emulator.functions.invoking import run
from clouddeploy.emulator.functions.policies import statements
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.http_api import cors
from clouddeploy.emulator.http_api.selection import DEFAULT, select
from clouddeploy.emulator.settings import ACCOUNT

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

PREFIX = "/_http_api/"
HOST = re.compile(r"([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com(:\d+)?")
SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/[^/]+/execute-api/aws4_request,")
FUNCTION = re.compile(r"arn:aws:lambda:([a-z0-9-]+):\d{12}:function:([A-Za-z0-9_-]+)(?::([A-Za-z0-9_$-]+))?")
BODY_LIMIT = 10_485_760  # "Quotas for configuring and running an HTTP API": payload size 10 MB
STAGE = re.compile(r"/v2/apis/([^/]+)/stages/([^/]+)")
MADE = re.compile(r"/v2/apis/([^/]+)/(routes|stages)")
ENDPOINT = re.compile(r"https://([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com")
log = logging.getLogger(__name__)


def api_in(request: Request) -> tuple[str, str] | None:
    """The id of the API that a request is for, and the path below it; None when it is for none."""
    if request.target.startswith(PREFIX):
        identity, _, rest = request.raw_path.removeprefix(PREFIX).partition("/")
        return identity, f"/{rest}"
    match = HOST.fullmatch(request.headers.get("host", ""))
    return (match[1], request.raw_path) if match else None


def answer(cloud: Cloud, request: Request, identity: str, path: str) -> Response:
    """The API's answer to a request."""
    api = http_apis.find(identity)
    if api is None or api.protocol != "HTTP":
        return failure(404)
    if api.disabled:
        return failure(404)
    if api.cors and cors.is_preflight(request):
        return cors.preflight(api.cors, request)
    found = _answer(cloud, request, api, path)
    return cors.mark(api.cors, request, found) if api.cors else found


def _answer(cloud: Cloud, request: Request, api: Api, path: str) -> Response:
    stage, below = _stage(api, path)
    match = select(api.routes, request.method, below) if stage in api.stages else None
    if match is None:
        return failure(404)
    route, values = match
    if len(request.body) > BODY_LIMIT:
        return failure(413)
    if route.authorization not in ("NONE", "AWS_IAM"):
        return failure(501, f"The embedded cloud checks no {route.authorization} authorizers")
    key = SIGNED.match(request.headers.get("authorization", ""))
    if route.authorization == "AWS_IAM" and key is None:
        return failure(403)
    place = Place(
        api=api.identity,
        domain=api.domain,
        path=unquote(path),
        route=route.key,
        stage=stage,
        account=ACCOUNT,
        authorizer=signed_by(key[1]) if key is not None and route.authorization == "AWS_IAM" else None,
        path_parameters=values,
        stage_variables=api.stages[stage],
    )
    return _integrated(cloud, request, api, route, place)


def _stage(api: Api, path: str) -> tuple[str, str]:
    """The stage that a path names, and the path below it; ``$default`` has none in its URLs."""
    first, _, rest = path.lstrip("/").partition("/")
    return (first, f"/{rest}") if first in api.stages else (DEFAULT, path)


def _integrated(cloud: Cloud, request: Request, api: Api, route: Route, place: Place) -> Response:
    integration = route.integration
    function = FUNCTION.search(integration.uri) if integration is not None else None
    if integration is None or integration.kind != "AWS_PROXY" or function is None:
        return failure(501, "The embedded cloud runs Lambda functions behind HTTP APIs, nothing else")
    if integration.payload != "2.0":
        return failure(501, "The embedded cloud sends payload format 2.0; the integration asks for 1.0")
    region, name, qualifier = function[1], function[2], function[3] or ""
    source = f"arn:aws:execute-api:{api.region}:{ACCOUNT}:{api.identity}/{place.stage}/{_key(route)}"
    if not _allowed(region, name, qualifier, source):
        log.warning("API %s may not invoke %s: AddPermission for %s lacks", api.identity, name, source)
        return failure(500)
    began = time.monotonic()
    headers = {**request.headers, "host": api.domain, "x-forwarded-for": "127.0.0.1"}
    payload = json.dumps(event_of(replace(request, headers=headers), place)).encode()
    try:
        outcome = run(cloud, region, name, qualifier, payload)
    except Refused as error:
        log.warning("API %s can't invoke %s: %s", api.identity, name, error)
        return failure(503 if error.status == 429 else 500)
    if time.monotonic() - began > integration.timeout_s:
        return failure(503)
    found = response_of(outcome.body)
    # A function URL says 502 where an HTTP API says 500.
    return failure(500) if outcome.failed or found.body == FAILED else found


def _key(route: Route) -> str:
    """A route's part of the ARN that permissions name."""
    method, _, path = route.key.partition(" ")
    return f"{'*' if method in ('ANY', DEFAULT) else method}{path or '/' + DEFAULT}"


def _allowed(region: str, name: str, qualifier: str, source: str) -> bool:
    """Whether the function's policy lets API Gateway invoke it for `source`."""
    if functions.find(region, name) is None:
        return False
    for statement in statements(region, name, qualifier):
        pattern = (statement.get("Condition") or {}).get("ArnLike", {}).get("AWS:SourceArn", "*")
        gateway = statement.get("Principal") in ({"Service": "apigateway.amazonaws.com"}, "*")
        if gateway and fnmatchcase(source, pattern):
            return True
    return False


PHRASES = {
    403: "Forbidden",
    404: "Not Found",
    413: "Request Entity Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def failure(status: int, message: str = "") -> Response:
    """What the gateway itself answers."""
    body = json.dumps({"message": message or PHRASES[status]}, separators=(",", ":"))
    return Response(status, [("Content-Type", "application/json")], body.encode())


def control(cloud: Cloud, call: Call) -> Response:
    """The control plane: moto's, with UpdateStage, which it lacks, and an ``ApiEndpoint`` within reach."""
    stage = STAGE.fullmatch(call.request.path)
    if stage and call.request.method == "PATCH":
        return _update_stage(call, *stage.groups())
    _refuse_twice(call)
    with turn("apigateway"):
        found = cloud.moto(call.request)
    text = found.body.decode("utf-8", "replace")
    reachable = ENDPOINT.sub(lambda match: f"{cloud.url}{PREFIX}{match[1]}", text)
    return Response(found.status, found.headers, reachable.encode())


def _refuse_twice(call: Call) -> None:
    """Refuse a second route or stage of a name, as moto doesn't (CreateRoute, CreateStage)."""
    made = MADE.fullmatch(call.request.path) if call.request.method == "POST" else None
    api = http_apis.find(made[1]) if made else None
    if made is None or api is None:
        return
    wish = json.loads(call.request.body or b"{}")
    if made[2] == "routes" and any(route.key == wish.get("routeKey") for route in api.routes):
        message = f"Route with key {wish['routeKey']} already exists for this API"
        raise Refused(message, code="ConflictException", status=409)
    if made[2] == "stages" and wish.get("stageName") in api.stages:
        raise Refused("Stage already exists", code="ConflictException", status=409)


def _update_stage(call: Call, identity: str, name: str) -> Response:
    found = http_apis.update_stage(call.region, identity, name, json.loads(call.request.body or b"{}"))
    if found is None:
        raise Refused("Invalid stage identifier specified", code="NotFoundException", status=404)
    return json_answer(found)
