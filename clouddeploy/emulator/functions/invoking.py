"""Invoke (Lambda API Reference), and the one way to a function for everything else that has an event."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from clouddeploy.emulator.backends import functions
from clouddeploy.emulator.backends.functions import LATEST, Function
from clouddeploy.emulator.call import CREDENTIAL, DEFAULT_REGION, Call, Refused, refusal
from clouddeploy.emulator.functions.describing import pending
from clouddeploy.emulator.functions.destinations import deliver
from clouddeploy.emulator.functions.fleet import Throttled
from clouddeploy.emulator.functions.names import conflict, invalid, split
from clouddeploy.emulator.functions.options import asynchronous
from clouddeploy.emulator.functions.recipe import Event, Outcome
from clouddeploy.emulator.functions.versions import route
from clouddeploy.emulator.http.message import Request, Response

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

PATH = re.compile(r"/2015-03-31/functions/([^/?]+)/invocations/?")
LIMIT, ASYNC_LIMIT = 6_291_456, 1_048_576
RETRIES = 2


def name_in(request: Request) -> str | None:
    """The function that the request invokes, or None when it is no invocation."""
    match = PATH.fullmatch(request.raw_path) if request.method == "POST" else None
    return unquote(match[1]) if match else None


def invoke(cloud: Cloud, request: Request, named: str) -> Response:
    """Invoke: synchronously, asynchronously, or not at all (``DryRun``)."""
    scope = CREDENTIAL.search(request.headers.get("authorization", ""))
    region = scope[1] if scope else DEFAULT_REGION
    cloud.count("lambda", "Invoke")
    try:
        return _invoke(cloud, request, region, named)
    except Refused as error:
        return refusal(Call("lambda", "Invoke", region, request), error)


def _invoke(cloud: Cloud, request: Request, region: str, named: str) -> Response:
    given = parse_qs(request.query).get("Qualifier", [""])[0]
    name, qualifier = split(named, given)
    kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
    if kind not in ("RequestResponse", "Event", "DryRun"):
        raise invalid(f"Value '{kind}' at 'invocationType' failed to satisfy constraint")
    _check(request.body, ASYNC_LIMIT if kind == "Event" else LIMIT, kind)
    function = route(region, name, qualifier)
    if kind == "DryRun":
        return Response(204)
    context = _client_context(request)
    if kind == "Event":
        cloud.spawn(run_async, cloud, region, name, qualifier, request.body or b"{}", context)
        return Response(202, [("x-amzn-RequestId", "")])
    outcome = run(cloud, region, name, qualifier, request.body, client_context=context, function=function)
    headers = [
        ("Content-Type", "application/json"),
        ("x-amzn-RequestId", outcome.request_id),
        ("X-Amz-Executed-Version", outcome.version),
    ]
    if outcome.failed:
        headers.append(("X-Amz-Function-Error", "Unhandled"))
    if request.headers.get("x-amz-log-type") == "Tail":
        headers.append(("X-Amz-Log-Result", base64.b64encode(outcome.tail).decode()))
    return Response(200, headers, outcome.body)


def _client_context(request: Request) -> str:
    given = request.headers.get("x-amz-client-context", "")
    try:
        return base64.b64decode(given).decode() if given else ""
    except ValueError:
        raise invalid("Client context must be a valid Base64-encoded JSON object.") from None


def _check(payload: bytes, limit: int, kind: str) -> None:
    """Refuse what is too large or no JSON (Invoke: RequestTooLarge-, InvalidRequestContentException)."""
    if len(payload) > limit:
        raise Refused(
            f"{len(payload)} byte payload is too large for the {kind} invocation type (limit {limit} bytes)",
            code="RequestTooLargeException",
            status=413,
            extra={"Type": "User"},
        )
    try:
        json.loads(payload or b"{}")
    except ValueError as error:
        raise Refused(
            f"Could not parse request body into json: {error}",
            code="InvalidRequestContentException",
            extra={"Type": "User"},
        ) from None


def run(
    cloud: Cloud,
    region: str,
    name: str,
    qualifier: str,
    payload: bytes,
    *,
    client_context: str = "",
    function: Function | None = None,
    request_id: str = "",
) -> Outcome:
    """Run one event and wait for what becomes of it.

    Args:
        cloud: the embedded cloud.
        region, name, qualifier: the function, and a version or an alias of it; empty is ``$LATEST``.
        payload: JSON; nothing is an empty object.
        client_context: JSON of the caller's.
        function: the version, when the caller has chosen it already.
        request_id: of the invocation; by default a new one.

    Raises:
        Refused: there is no such function, it is still ``Pending``, has no code to run here, or is throttled.
    """
    function = function or route(region, name, qualifier)
    _refuse_unready(function)
    arn = functions.arn_of(region, name, qualifier)
    event = Event(payload or b"{}", arn, client_context)
    if request_id:
        event = Event(event.payload, arn, client_context, request_id)
    metrics = cloud.function_metrics
    try:
        with cloud.functions.slot(function) as concurrent:
            outcome = cloud.functions.run(function, event)
    except Throttled:
        metrics.throttled(region, name, qualifier)
        raise
    metrics.ran(
        region, name, qualifier, failed=outcome.failed, seconds=outcome.seconds, concurrent=concurrent
    )
    return outcome


def _refuse_unready(function: Function) -> None:
    if pending(function):
        raise conflict(
            "The operation cannot be performed at this time. The function is currently in the following "
            "state: Pending"
        )
    if function.package == "Zip" and not function.runtime.startswith("python"):
        raise Refused(
            f"The embedded cloud runs Python functions, not {function.runtime}",
            code="InvalidRuntimeException",
            status=502,
        )


def run_async(
    cloud: Cloud, region: str, name: str, qualifier: str, payload: bytes, client_context: str = ""
) -> None:
    """Run one event that nobody waits for; a failed one is tried again, then sent to its destination.

    "How Lambda handles errors and retries with asynchronous invocation" and "Capturing records of Lambda
    asynchronous invocations" (Lambda Developer Guide).
    """
    config = asynchronous(region, name, qualifier if qualifier != LATEST else "")
    attempts = 1 + int(config.get("MaximumRetryAttempts", RETRIES))
    outcome: Outcome | None = None
    for attempt in range(attempts):
        cloud.sleep(cloud.settings.function_retry_s if attempt else 0)
        outcome = None
        while outcome is None and not cloud.stopped.is_set():
            try:
                outcome = run(cloud, region, name, qualifier, payload, client_context=client_context)
            except Throttled:  # stays in the queue: that is no attempt
                cloud.sleep(max(cloud.settings.function_retry_s, 0.05))
        if outcome is None or not outcome.failed:
            break
    if outcome is not None:
        function = functions.latest(region, name)
        deliver(function, qualifier, config, payload, outcome, attempt + 1)
