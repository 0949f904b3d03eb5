"""What Lambda makes of a wish, told before anything is created. Makes no call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime

from clouddeploy.engine.finding import Finding
from clouddeploy.errors import SpecError
from clouddeploy.providers.aws_lambda import runtimes, scaling
from clouddeploy.providers.aws_lambda.concurrency import reserved
from clouddeploy.providers.aws_lambda.configuration import MEMORY_MB, environment
from clouddeploy.providers.aws_lambda.mapping import scaling_findings
from clouddeploy.providers.aws_lambda.options import Options
from clouddeploy.spec import Deployment

MEMORY_RANGE_MB = (128, 10_240)
TIMEOUT_S = 900
EPHEMERAL_RANGE_MB = (512, 10_240)
SNAP_START_EPHEMERAL_MB = 512
API_TIMEOUT_S = 30
"""API Gateway Developer Guide, "Quotas for configuring and running an HTTP API"."""
ENV_BYTES = 4096
ENV_NAME = re.compile(r"[a-zA-Z]\w+", re.ASCII)
"""All from the Lambda Developer Guide: "Lambda quotas", and SnapStart's limitations."""
RESERVED_ENV = frozenset(
    [
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    ]
)
"""Developer Guide, "Defined runtime environment variables": those that can't be set."""
TORCH_FORMATS = frozenset({"torch-export", "torch-state-dict", "torchscript"})


def check(deployment: Deployment, options: Options, *, today: date | None = None) -> list[Finding]:
    """Findings on `deployment`.

    Args:
        today: the day for which runtimes are judged; None is the present one.

    Raises:
        SpecError: a field can't be meant.
    """
    _refuse_sizes(deployment, options)
    _refuse_env(deployment)
    _refuse_access(deployment, options)
    reserved(deployment, options)
    findings = [
        *_runtime(options, today or datetime.now(UTC).date()),
        *_compute(deployment),
        *scaling_findings(deployment.autoscaling),
    ]
    if options.snap_start:
        _refuse_snap_start(deployment, options)
    return [*findings, *_others(deployment, options)]


def _refuse_sizes(deployment: Deployment, options: Options) -> None:
    compute = deployment.compute
    memory_mb = compute.memory_mb or MEMORY_MB
    ranges = {
        "Compute.memory_mb": (memory_mb, *MEMORY_RANGE_MB, "MiB of memory"),
        "Compute.timeout_s": (compute.timeout_s, 1, TIMEOUT_S, "seconds"),
        "ephemeral_mb": (options.ephemeral_mb, *EPHEMERAL_RANGE_MB, "MiB of /tmp"),
    }
    for field, (value, low, high, unit) in ranges.items():
        if not low <= value <= high:
            raise SpecError(
                f"{field} is {value}",
                why=f"Lambda takes {low:,} to {high:,} {unit} (Lambda quotas)",
                fix=f"set it to {high} or less" if value > high else f"set it to {low} or more",
            )
    need_mb = deployment.model.size / (1 << 20)
    if need_mb > memory_mb:
        raise SpecError(
            f"the model has {need_mb:,.0f} MiB and the function has {memory_mb:,} MiB of memory",
            why="its weights alone don't fit",
            fix="set Compute.memory_mb higher, or take a smaller model",
        )


def _refuse_env(deployment: Deployment) -> None:
    env = environment(deployment)
    taken = sorted(RESERVED_ENV & env.keys())
    odd = sorted(name for name in env if not ENV_NAME.fullmatch(name))
    if taken or odd:
        raise SpecError(
            f"Deployment.env has {(taken or odd)[0]!r}",
            why="Lambda sets that variable by itself"
            if taken
            else "Lambda takes names of two characters or more that start with a letter (CreateFunction)",
            fix="give it another name",
        )
    size = sum(len(f"{k}{v}".encode()) for k, v in env.items())
    if size > ENV_BYTES:
        raise SpecError(
            f"Deployment.env has {size:,} bytes",
            why=f"Lambda takes {ENV_BYTES:,} bytes of names and values together (Lambda quotas)",
            fix="put long values into a file of the model",
        )


def _refuse_access(deployment: Deployment, options: Options) -> None:
    if options.url == "public" and not deployment.access.public:
        raise SpecError(
            "the function's URL is asked to be public, and the deployment isn't",
            why="anyone could call it and make it cost money; that takes both to say so",
            fix="add access=Access(public=True), or leave url out for signed requests",
        )


def _refuse_snap_start(deployment: Deployment, options: Options) -> None:
    reasons = []
    if options.is_image:
        reasons.append("a container image")
    elif runtimes.version_of(options.runtime) < runtimes.SNAP_START_FROM:
        reasons.append(f"the runtime {options.runtime} (it takes python3.12 or newer)")
    if scaling.kept_running(deployment.autoscaling) or scaling.is_scaled(deployment.autoscaling):
        reasons.append("copies that are kept running (provisioned concurrency)")
    if options.ephemeral_mb > SNAP_START_EPHEMERAL_MB:
        reasons.append(f"more than {SNAP_START_EPHEMERAL_MB} MiB of /tmp")
    if reasons:
        raise SpecError(
            f"snap_start can't be had with {' nor with '.join(reasons)}",
            why="what SnapStart excludes (Developer Guide, 'Improving startup performance with SnapStart')",
            fix="leave snap_start out, or that",
        )


def _runtime(options: Options, today: date) -> Iterator[Finding]:
    found = None if options.is_image else runtimes.finding(options.runtime, today)
    if found:
        yield found


def _compute(deployment: Deployment) -> Iterator[Finding]:
    if deployment.compute.instance is not None:
        yield Finding(
            "compute.instance",
            "impossible",
            "Lambda has no machine types: processor power goes with the memory",
            "leave it out, and give memory_mb",
        )


def _others(deployment: Deployment, options: Options) -> Iterator[Finding]:
    access = deployment.access
    if deployment.compression == "none":
        form = "an image of compressed layers" if options.is_image else "a zip"
        yield Finding(
            "compression", "impossible", f"Lambda takes {form}", "set compression to 'auto', which sends that"
        )
    yield from _addresses(deployment, options)
    if access.kms_key:
        yield Finding(
            "access.kms_key",
            "approximated",
            "on Lambda the key encrypts the environment variables; the storage is AWS's to encrypt",
            "leave it out if that isn't meant",
        )
    if deployment.model.format in TORCH_FORMATS and not options.is_image:
        yield Finding(
            "model",
            "approximated",
            "torch doesn't fit into a function, so the model is exported to ONNX and compared with torch",
            "say package='image' to run torch itself",
        )
    for alarm in deployment.alarms:
        yield _alarm(alarm.metric)


def _addresses(deployment: Deployment, options: Options) -> Iterator[Finding]:
    if deployment.access.public and options.url == "iam":
        yield Finding(
            "access.public",
            "approximated" if options.http_api else "impossible",
            "the function's URL takes signed requests only"
            + (", and the HTTP API anyone's" if options.http_api else ""),
            "make the deployer with url='public', which asks for it by name",
        )
    if deployment.access.public and options.url == "none" and not options.http_api:
        yield Finding(
            "access.public",
            "impossible",
            "the function has no address of its own",
            "make the deployer with http_api=True, or with url='public'",
        )
    if options.http_api and deployment.compute.timeout_s > API_TIMEOUT_S:
        yield Finding(
            "compute.timeout_s",
            "approximated",
            f"the HTTP API gives up after {API_TIMEOUT_S} s; other ways to the function wait as asked",
            f"set it to {API_TIMEOUT_S} or less",
        )


def _alarm(metric: str) -> Finding:
    counts = {
        "errors_4xx": "it counts what the function refused, by a custom metric of its own",
        "errors_5xx": "it counts invocations that raised, timed out or ran out of memory",
        "latency_ms": "it is the time in the function, without the wait for a start",
    }
    return Finding(
        f"alarms.{metric}",
        "approximated",
        f"{counts[metric]}; an alarm tells people, and rolls no update back",
        "roll back by rollback()",
    )
