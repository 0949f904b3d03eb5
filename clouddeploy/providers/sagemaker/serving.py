"""Calls to what runs: one request, its status, its figures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from clouddeploy.errors import CloudDeployError, CloudError, InputError, NotFound, PredictionError
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.logs import last_lines
from clouddeploy.providers.aws.metrics import sums
from clouddeploy.providers.sagemaker.names import VARIANT, log_group, release_of
from clouddeploy.providers.sagemaker.scaling import US_PER_MS, dimensions
from clouddeploy.providers.sagemaker.site import NO_ENDPOINT
from clouddeploy.spec import Phase, Reply, Status

BODY_LIMIT = 6 * 1024 * 1024
"""Bytes of a request (``BodyBlob``, SageMaker Runtime API reference)."""
ATTEMPTS = 3
PHASES: Mapping[str, Phase] = {
    "Creating": "creating",
    "Updating": "updating",
    "SystemUpdating": "updating",
    "RollingBack": "rolling-back",
    "InService": "ready",
    "Deleting": "deleting",
    "Failed": "failed",
    "OutOfService": "failed",
    "UpdateRollbackFailed": "failed",
}
HEADERS = {
    "InvokedProductionVariant": "x-amzn-invoked-production-variant",
    "CustomAttributes": "x-amzn-sagemaker-custom-attributes",
}


def invoke(aws: Aws, name: str, body: bytes, *, content_type: str, accept: str) -> Reply:
    """Send one request (see `clouddeploy.providers.Provider.invoke`)."""
    if len(body) > BODY_LIMIT:
        raise InputError(
            f"the request has {len(body):,} bytes",
            why=f"SageMaker takes {BODY_LIMIT:,} bytes (6 MB) at the most",
            fix="send fewer examples or application/x-npy, or use batch transform or asynchronous inference",
            code="too_large",
            status=413,
        )
    params = {"EndpointName": name, "Body": body, "ContentType": content_type, "Accept": accept}
    try:
        answer = aws.call("sagemaker-runtime", "InvokeEndpoint", params, attempts=ATTEMPTS)
        content = answer["Body"].read()
    except CloudDeployError as error:
        raise _translated(aws, name, error) from error
    told: dict[str, Any] = answer.get("ResponseMetadata", {})
    headers = {ours: str(answer[k]) for k, ours in HEADERS.items() if answer.get(k)}
    if told.get("RequestId"):
        headers["x-amzn-requestid"] = str(told["RequestId"])
    return Reply(content, str(answer.get("ContentType", "")), headers)


def _translated(aws: Aws, name: str, error: CloudDeployError) -> CloudDeployError:
    if not isinstance(error, CloudError):
        return error
    if error.code in ("ValidationError", "ValidationException") and "not found" in error.why.lower():
        return NotFound(
            f"nothing runs under {name!r} on SageMaker in {aws.region}", why=error.why, fix="deploy it first"
        )
    if error.code != "ModelError":
        return error
    answer: dict[str, Any] = getattr(error.__cause__, "response", {})
    status = int(answer.get("OriginalStatusCode") or 500)
    told = _told(str(answer.get("OriginalMessage") or ""))
    message = told.get("message") or error.why
    code, fix = told.get("code", ""), told.get("fix", "")
    if 400 <= status < 500:
        return InputError(message, fix=fix, code=code or "bad_input", status=status)
    return PredictionError(
        f"endpoint {name!r} failed to predict: {message}",
        fix=fix or "see the log lines, or its logs()",
        code=code or "internal",
        operation=error.operation,
        status=status,
        log_tail=last_lines(aws, log_group(name), since_s=900),
    )


def _told(message: str) -> dict[str, str]:
    """What our own wire contract's error says; nothing when the container answered otherwise."""
    try:
        found = json.loads(message)["error"]
        return {k: str(found.get(k) or "") for k in ("code", "message", "fix")}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def status_of(aws: Aws, name: str) -> Status:
    """How the endpoint `name` stands, whoever made it."""
    found = aws.find("sagemaker", "DescribeEndpoint", NO_ENDPOINT, EndpointName=name)
    if found is None:
        return Status("missing", "")
    variants = found.get("ProductionVariants") or []
    counts = [v["CurrentInstanceCount"] for v in variants if v.get("CurrentInstanceCount") is not None]
    return Status(
        PHASES.get(found["EndpointStatus"], "updating"),
        found["EndpointStatus"],
        release_of(name, found.get("EndpointConfigName", "")),
        found.get("FailureReason", ""),
        sum(counts) if counts else None,
    )


QUERIES = {
    "requests": ("Invocations", "Sum"),
    "errors_4xx": ("Invocation4XXErrors", "Sum"),
    "errors_5xx": ("Invocation5XXErrors", "Sum"),
    "latency_sum": ("ModelLatency", "Sum"),
    "latency_count": ("ModelLatency", "SampleCount"),
}


def metrics(aws: Aws, name: str, *, since_s: float) -> Mapping[str, float]:
    """Figures of the past `since_s` seconds, all variants together; without a request no ``latency_ms``."""
    seen = aws.find("sagemaker", "DescribeEndpoint", NO_ENDPOINT, EndpointName=name) or {}
    variants = [str(v["VariantName"]) for v in seen.get("ProductionVariants") or ()] or [VARIANT]
    totals: Counter[str] = Counter()
    for variant in variants:
        totals.update(sums(aws, "AWS/SageMaker", dimensions(name, variant), QUERIES, since_s=since_s))
    found: dict[str, float] = {key: float(totals[key]) for key in QUERIES}
    count, total_us = found.pop("latency_count"), found.pop("latency_sum")
    return {**found, "latency_ms": total_us / count / US_PER_MS} if count else found
