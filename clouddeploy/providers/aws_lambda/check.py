"""What Lambda makes of a wish, told before anything is created. Makes no call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime

from clouddeploy.engine.finding import Finding
from clouddeploy.errors import SpecError
from clouddeploy.providers.aws import cron
from clouddeploy.providers.aws_lambda import runtimes, scaling
from clouddeploy.providers.aws_lambda.configuration import MEMORY_MB, environment
from clouddeploy.providers.aws_lambda.options import Options
from clouddeploy.spec import Deployment

MEMORY_RANGE_MB = (128, 10_240)
TIMEOUT_S = 900
EPHEMERAL_RANGE_MB = (512, 10_240)
SNAP_START_EPHEMERAL_MB = 512
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
        *_scaling(deployment),
    ]
    if options.snap_start:
        _refuse_snap_start(deployment, options)
    return [*findings, *_others(deployment, options)]


def reserved(deployment: Deployment, options: Options) -> int | None:
    """Requests served at once at the most, which either of two fields may say.

    Raises:
        SpecError: they say different things, or less than one.
    """
    given, asked = options.reserved_concurrency, deployment.compute.max_concurrency
    if given is not None and given < 1:
        raise SpecError(
            f"reserved_concurrency is {given}",
            why="a function that may serve no request can't be tried either",
            fix="set it to 1 or more, or leave it out",
        )
    if given is not None and asked is not None and given != asked:
        raise SpecError(
            f"reserved_concurrency is {given} and Compute.max_concurrency is {asked}",
            why="both say how many requests the function serves at once at the most",
            fix="give one of them",
        )
    count = given if given is not None else asked
    kept = scaling.kept_running(deployment.autoscaling)
    most = max(kept, deployment.autoscaling.max if scaling.is_scaled(deployment.autoscaling) else 0)
    if count is not None and most > count:
        raise SpecError(
            f"{most} copies are to be kept running and {count} requests may be served at once",
            why="provisioned concurrency can't exceed the function's reserved concurrency",
            fix=f"set reserved_concurrency to {most} or more, or autoscaling.max to {count} or less",
        )
    return count


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
    if options.image:
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
    found = None if options.image else runtimes.finding(options.runtime, today)
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


def _scaling(deployment: Deployment) -> Iterator[Finding]:
    wish = deployment.autoscaling
    for name in ("requests_per_minute", "concurrency", "cpu"):
        if getattr(wish, name) is not None:
            yield Finding(
                f"autoscaling.{name}",
                "impossible",
                "a copy of a function serves one request at a time, and there is one for each request",
                "use utilization, the share of the copies kept running that are in use",
            )
    for schedule in wish.schedules:
        cron.to_aws(schedule.cron)
        cron.check_timezone(schedule.timezone)
    kept, scaled = scaling.kept_running(wish), scaling.is_scaled(wish)
    if not kept and wish.min > 0:
        yield Finding(
            "autoscaling.min",
            "approximated",
            "Lambda starts copies on demand, and the first request after a pause waits for a start",
            "set it to 0 to agree, or give utilization or a min above 1 to keep copies running",
        )
    if kept or scaled:
        yield Finding(
            "autoscaling.max",
            "approximated",
            f"{wish.max} is the most that is kept running; more requests at once start copies on demand",
            "set reserved_concurrency for a hard limit",
        )
    if wish.utilization is not None and not scaled:
        yield Finding(
            "autoscaling.utilization",
            "approximated",
            f"min is {wish.min} and max is {wish.max}, so there is nothing to scale and no policy is made",
            "give min 1 or more, and max a larger value",
        )
    if scaled and wish.min < wish.max and wish.utilization is None:
        yield Finding(
            "autoscaling.utilization",
            "approximated",
            f"none is given, so {scaling.UTILIZATION:g} is held",
            "give utilization to choose",
        )


def _others(deployment: Deployment, options: Options) -> Iterator[Finding]:
    access = deployment.access
    if deployment.compression == "none":
        yield Finding(
            "compression", "impossible", "Lambda takes a zip", "set compression to 'auto'; a zip is sent"
        )
    if access.public and options.url != "public":
        yield Finding(
            "access.public",
            "impossible",
            "the function's URL takes signed requests only",
            "make the deployer with url='public', which asks for it by name",
        )
    if access.kms_key:
        yield Finding(
            "access.kms_key",
            "approximated",
            "on Lambda the key encrypts the environment variables; the storage is AWS's to encrypt",
            "leave it out if that isn't meant",
        )
    if deployment.model.format in TORCH_FORMATS and not options.image:
        yield Finding(
            "model",
            "approximated",
            "torch doesn't fit into a function, so the model is exported to ONNX and compared with torch",
            "give an image to run torch itself",
        )
    for alarm in deployment.alarms:
        yield _alarm(alarm.metric)


def _alarm(metric: str) -> Finding:
    if metric not in scaling.METRICS:
        return Finding(
            f"alarms.{metric}",
            "impossible",
            "Lambda counts no requests that the function itself refused, so no such alarm is made",
            "watch errors_5xx or latency_ms",
        )
    counts = {
        "errors_5xx": "it counts invocations that raised, timed out or ran out of memory",
        "latency_ms": "it is the time in the function, without the wait for a start",
    }
    return Finding(
        f"alarms.{metric}",
        "approximated",
        f"{counts[metric]}; an alarm tells people, and rolls no update back",
        "roll back by rollback()",
    )
