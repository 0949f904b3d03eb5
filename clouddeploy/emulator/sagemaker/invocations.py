"""InvokeEndpoint (Amazon SageMaker Runtime API Reference), on the shortest way to the container."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote

from clouddeploy.emulator.call import CREDENTIAL, DEFAULT_REGION, Call, Refused, refusal
from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.plane.artifact import BadArtifact
from clouddeploy.emulator.plane.container import Gone
from clouddeploy.emulator.plane.pool import Died
from clouddeploy.emulator.plane.recipe import StartFailed
from clouddeploy.emulator.sagemaker.fleet import Variant
from clouddeploy.emulator.sagemaker.records import Endpoint
from clouddeploy.emulator.settings import ACCOUNT

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

PATH = re.compile(r"/endpoints/([^/?]+)/invocations")
SERVING = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed"})
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
MESSAGE_LIMIT = 1024
EXITED = "An error occurred while handling request as the model process exited."
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


def name_in(request: Request) -> str | None:
    """The endpoint that the request invokes, or None when it is no invocation."""
    match = PATH.fullmatch(request.raw_path) if request.method == "POST" else None
    return unquote(match[1]) if match else None


def invoke(cloud: Cloud, request: Request, name: str) -> Response:
    """The container's answer, or the refusal that the service gives."""
    scope = CREDENTIAL.search(request.headers.get("authorization", ""))
    region = scope[1] if scope else DEFAULT_REGION
    cloud.count("sagemaker", "InvokeEndpoint")
    try:
        while True:
            try:
                return _invoke(cloud, request, region, name)
            except Gone:  # an update took over between our choice and the call: choose again
                continue
    except Refused as error:
        return refusal(Call("sagemaker", "InvokeEndpoint", region, request), error)


def _invoke(cloud: Cloud, request: Request, region: str, name: str) -> Response:
    record = cloud.store.all(region, "endpoint").get(name)
    if not isinstance(record, Endpoint) or record.fleet is None or record.status not in SERVING:
        # One answer for all that can't be invoked: the service doesn't tell a missing endpoint from
        # one that isn't in service yet.
        raise Refused(f"Endpoint {name} of account {ACCOUNT} not found.", code="ValidationError")
    variant = _variant(record, request.headers.get("x-amzn-sagemaker-target-variant"))
    limit = cloud.settings.serverless_request_limit if variant.serverless else cloud.settings.request_limit
    size = len(request.body)
    if size > limit:
        raise Refused(
            f"1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]' at "
            f"'body' failed to satisfy constraint: Member must have length less than or equal to {limit}",
            code="ValidationError",
        )
    began, status = time.perf_counter(), 0
    try:
        answer = _ask(cloud, record, variant, request)
        status = answer.status
    finally:
        cloud.metrics.add(region, name, variant.name, status, time.perf_counter() - began)
    if not 200 <= answer.status < 300:
        text = answer.body.decode("utf-8", "replace")
        raise _model_error(record, variant, answer.status, text)
    headers = [
        ("Content-Type", answer.header("Content-Type") or "application/json"),
        ("x-Amzn-Invoked-Production-Variant", variant.name),
    ]
    attributes = answer.header(ATTRIBUTES)
    if attributes is not None:
        headers.append((ATTRIBUTES, attributes))
    return Response(200, headers, answer.body)


def _variant(record: Endpoint, target: str | None) -> Variant:
    assert record.fleet is not None
    if target is None:
        return record.fleet.choose({v["VariantName"]: v.get("CurrentWeight", 1.0) for v in record.variants})
    variant = record.fleet.variants.get(target)
    if variant is None:
        raise Refused(f"Variant {target} not found for Endpoint {record.name}", code="ValidationError")
    return variant


def _ask(cloud: Cloud, record: Endpoint, variant: Variant, request: Request) -> Response:
    given = request.headers
    headers = [
        ("Content-Type", given.get("content-type") or "application/json"),
        ("Accept", given.get("accept", "*/*")),
    ]
    if ATTRIBUTES.lower() in given:
        headers.append((ATTRIBUTES, given[ATTRIBUTES.lower()]))
    try:
        return cloud.pool.invoke(variant.container, variant.holder, headers, request.body, variant.startup_s)
    except (Died, StartFailed, BadArtifact) as error:
        raise _model_error(record, variant, 500, EXITED) from error
    except TimeoutError as error:
        raise _model_error(record, variant, 0, TIMED_OUT) from error


def _model_error(record: Endpoint, variant: Variant, status: int, text: str) -> Refused:
    """ModelError: the model's own status and words, and where its log is."""
    side = "client" if 400 <= status < 500 else "server"
    stream = variant.stream
    group = f"/aws/sagemaker/Endpoints/{record.name}"
    page = f"https://{record.region}.console.aws.amazon.com/cloudwatch/home?region={record.region}"
    return Refused(
        f'Received {side} error ({status}) from primary with message "{text[:MESSAGE_LIMIT]}". See '
        f"{page}#logEventViewer:group={group} in account {ACCOUNT} for more information.",
        code="ModelError",
        status=424,
        extra={
            "OriginalStatusCode": status,
            "OriginalMessage": text,
            "LogStreamArn": f"arn:aws:logs:{record.region}:{ACCOUNT}:log-group:{group}:log-stream:{stream}",
        },
    )
