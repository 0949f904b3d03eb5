"""HTTP requests as Lambda gets them, and responses as it takes them.

Shapes: "Input format of a Lambda function for proxy integration" (API Gateway REST APIs, payload 1.0),
"AWS Lambda integrations for HTTP APIs" (payload 2.0), "Lambda function URLs: request and response
payloads" (2.0), "Lambda functions as targets" (Application Load Balancers: 1.0 with two differences).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from clouddeploy.runtime.decode import JSON
from clouddeploy.runtime.errors import WireError
from clouddeploy.runtime.function.exchange import HttpRequest

_FIX = "send events of the form that API Gateway or a function URL makes"


def is_http(event: Mapping[str, Any]) -> bool:
    """Whether `event` is, or is meant to be, an HTTP request."""
    if "httpMethod" in event or "rawPath" in event or "routeKey" in event:
        return True
    inner = event.get("requestContext")
    return isinstance(inner, dict) and ("http" in inner or "elb" in inner)


def parse(event: Mapping[str, Any]) -> HttpRequest:
    """The request in `event`.

    Raises:
        WireError: ``bad_input``: a field is not of the kind that the format has.
    """
    if "httpMethod" in event:
        method, path = event["httpMethod"], event.get("path") or "/"
    else:
        http = _object(_object(event, "requestContext"), "http", "requestContext.")
        method, path = http.get("method"), event.get("rawPath") or http.get("path") or "/"
    if not isinstance(method, str) or not isinstance(path, str):
        raise _malformed("the event's method or path is no text")
    multi = event.get("multiValueHeaders") is not None and event.get("headers") is None
    return HttpRequest(method.upper(), path, headers_of(event), body_of(event), multi)


def _object(owner: Mapping[str, Any], name: str, where: str = "") -> Mapping[str, Any]:
    found = owner.get(name)
    if not isinstance(found, dict):
        raise _malformed(f"the event's {where}{name} is {_kind(found)}, no object")
    return found


def headers_of(event: Mapping[str, Any]) -> dict[str, str]:
    """The headers in ``headers`` and ``multiValueHeaders``, which wins, having all of a name.

    Raises:
        WireError: ``bad_input``: they are no texts.
    """
    found: dict[str, str] = {}
    if event.get("headers") is not None:
        for name, value in _object(event, "headers").items():
            if not isinstance(value, str):
                raise _malformed(f"the event's header {name[:40]!r} is {_kind(value)}, no text")
            found[name.lower()] = value
    if event.get("multiValueHeaders") is not None:
        for name, values in _object(event, "multiValueHeaders").items():
            if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
                raise _malformed(f"the event's multi-value header {name[:40]!r} is no list of texts")
            found[name.lower()] = ",".join(values)
    return found


def body_of(event: Mapping[str, Any]) -> bytes:
    """The body's bytes; none when it is missing or null.

    Raises:
        WireError: ``bad_input``: it is no text, or no base64 where it says so.
    """
    body, encoded = event.get("body"), event.get("isBase64Encoded")
    if encoded not in (None, True, False):
        raise _malformed(f"the event's isBase64Encoded is {_kind(encoded)}, no true or false")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise _malformed(f"the event's body is {_kind(body)}, no text")
    try:
        return base64.b64decode(body, validate=True) if encoded else body.encode()
    except (binascii.Error, ValueError) as error:
        what = "not base64, though isBase64Encoded says so" if encoded else "no text in Unicode"
        raise _malformed(f"the event's body is {what}") from error


def response(
    status: int, body: bytes, content_type: str, headers: Mapping[str, str], *, multi_value: bool = False
) -> dict[str, Any]:
    """The answer of a proxy integration; text as it is, anything else in base64."""
    is_text = content_type == JSON or content_type.startswith("text/")
    named = {"content-type": content_type, **headers} if body else dict(headers)
    found: dict[str, Any] = {
        "statusCode": status,
        "headers": named,
        "body": body.decode() if is_text else base64.b64encode(body).decode("ascii"),
        "isBase64Encoded": not is_text,
    }
    if multi_value:
        del found["headers"]
        found["multiValueHeaders"] = {name: [value] for name, value in named.items()}
    return found


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")


def _malformed(message: str) -> WireError:
    return WireError("bad_input", message, _FIX)
