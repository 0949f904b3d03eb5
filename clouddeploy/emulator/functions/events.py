"""HTTP requests as events of the payload format 2.0, and a function's answer as a response.

"Invoking Lambda function URLs", request and response payload format (Lambda Developer Guide); HTTP APIs
have the same format ("Create AWS Lambda proxy integrations for HTTP APIs", API Gateway Developer Guide).
"""

from __future__ import annotations

import base64
import binascii
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.settings import ACCOUNT

TEXT_TYPES = frozenset({"application/json", "application/javascript", "application/xml"})
FAILED = b'{"Message":"Internal Server Error"}'


@dataclass(frozen=True)
class Place:
    """Where a request came in.

    Args:
        api: the API's or the URL's id.
        domain: its host name.
        path: the path below it, as sent.
        route: the route that matched.
        stage: its stage.
        account: who calls, ``anonymous`` when unsigned.
        authorizer: the ``authorizer`` member of the request context.
        path_parameters, stage_variables: an HTTP API's.
    """

    api: str
    domain: str
    path: str
    route: str = "$default"
    stage: str = "$default"
    account: str = "anonymous"
    authorizer: Mapping[str, Any] | None = None
    path_parameters: Mapping[str, str] | None = None
    stage_variables: Mapping[str, str] | None = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def signed_by(key: str) -> dict[str, Any]:
    """The ``authorizer`` member for a request that was signed with an access key; whose, isn't judged."""
    caller = {"accessKey": key, "accountId": ACCOUNT, "callerId": key, "userId": key}
    more = {"cognitoIdentity": None, "principalOrgId": None, "userArn": f"arn:aws:iam::{ACCOUNT}:root"}
    return {"iam": {**caller, **more}}


def is_text(content_type: str) -> bool:
    """Whether a body of this media type goes into the event as it is, not as base64."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind in TEXT_TYPES or kind.endswith(("+json", "+xml"))


def event_of(request: Request, place: Place) -> dict[str, Any]:
    """The event, as a dictionary of JSON's types."""
    headers = dict(request.headers)
    cookies = headers.pop("cookie", None)
    now = time.time()
    context: dict[str, Any] = {
        "accountId": place.account,
        "apiId": place.api,
        "domainName": place.domain,
        "domainPrefix": place.domain.partition(".")[0],
        "http": {
            "method": request.method,
            "path": place.path,
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": place.request_id,
        "routeKey": place.route,
        "stage": place.stage,
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }
    if place.authorizer is not None:
        context["authorizer"] = place.authorizer
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": place.route,
        "rawPath": place.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
    query: dict[str, str] = {}
    for name, value in parse_qsl(request.query, keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    if query:
        event["queryStringParameters"] = query
    if place.path_parameters:
        event["pathParameters"] = dict(place.path_parameters)
    if place.stage_variables:
        event["stageVariables"] = dict(place.stage_variables)
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request)
    return event


def _body(request: Request) -> tuple[str, bool]:
    if is_text(request.headers.get("content-type", "")):
        try:
            return request.body.decode("utf-8"), False
        except UnicodeDecodeError:
            return base64.b64encode(request.body).decode(), True
    return base64.b64encode(request.body).decode(), True


def response_of(body: bytes) -> Response:
    """The response that a function's answer means; a bad one is a 502."""
    try:
        found = json.loads(body or b"null")
    except ValueError:
        return failure()
    if not (isinstance(found, dict) and "statusCode" in found):
        # Without a status code the whole answer is the body.
        return Response(200, [("Content-Type", "application/json")], body)
    try:
        status = int(found["statusCode"])
        text = found.get("body")
        data = text if isinstance(text, str) else "" if text is None else json.dumps(text)
        raw = base64.b64decode(data, validate=True) if found.get("isBase64Encoded") else data.encode()
        headers = [(str(k), _value(v)) for k, v in (found.get("headers") or {}).items()]
        headers += [("Set-Cookie", str(cookie)) for cookie in found.get("cookies") or []]
    except (ValueError, TypeError, AttributeError, binascii.Error):
        return failure()
    if not 100 <= status <= 599:
        return failure()
    if not any(k.lower() == "content-type" for k, _ in headers):
        headers.append(("Content-Type", "application/json"))
    return Response(status, headers, raw)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("\r", " ").replace("\n", " ")


def failure() -> Response:
    """What a caller gets when the function failed or answered nonsense."""
    return Response(502, [("Content-Type", "application/json")], FAILED)
