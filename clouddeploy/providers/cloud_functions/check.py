"""What Cloud Functions makes of a wish, told before anything is created. Makes no call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime

from clouddeploy.engine.finding import Finding
from clouddeploy.errors import SpecError
from clouddeploy.providers.cloud_functions import runtimes, sizes
from clouddeploy.providers.cloud_functions.configuration import environment
from clouddeploy.providers.cloud_functions.mapping import AUTOSCALING, MOST_CONCURRENCY
from clouddeploy.providers.cloud_functions.options import Options
from clouddeploy.providers.gcp.labels import check_labels
from clouddeploy.providers.gcp.run import alarming, checks
from clouddeploy.providers.gcp.run.mapping import MENDS
from clouddeploy.spec import Autoscaling, Compute, Deployment

NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""Cloud Functions v2, ``functions.create``: 63 characters, as Cloud Run names its services."""
MOST_INSTANCES = 1000
"""serviceConfig.maxInstanceCount, and Cloud Run's own limit of instances in a region."""
RESERVED_ENV = frozenset(
    ["FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE", "K_SERVICE", "K_REVISION", "K_CONFIGURATION", "PORT"]
)
RESERVED_PREFIXES = ("X_GOOGLE_", "CLOUDDEPLOY_RELEASE")
"""Cloud Run functions documentation, "Configure environment variables"; the last one is ours."""
STARTUP_S = Compute().startup_timeout_s
"""What stands there when nobody asks for another."""


def check(deployment: Deployment, options: Options, *, today: date | None = None) -> list[Finding]:
    """Findings on `deployment`.

    Args:
        today: the day for which runtimes are judged; None is the present one.

    Raises:
        SpecError: a field can't be meant.
    """
    _refuse_name(deployment.name)
    check_labels(deployment.tags)
    checks.refuse_env(
        environment(deployment),
        options.secrets,
        RESERVED_ENV,
        RESERVED_PREFIXES,
        "Configure environment variables",
    )
    _refuse_access(deployment, options)
    alarming.refuse_alarms(deployment.alarms)
    refuse_scaling(deployment.autoscaling)
    sizes.cpu_of(deployment.compute, options.cpu, sizes.concurrency_of(deployment.autoscaling))
    checks.refuse_heavy(deployment, sizes.memory_of(deployment.compute), sizes.MEMORY_RANGE_MB[1])
    told = runtimes.finding(options.runtime, today or datetime.now(UTC).date())
    return [
        *([told] if told else []),
        *_compute(deployment),
        *checks.scaling(deployment.autoscaling, AUTOSCALING, MENDS),
        *_access(deployment, options),
        *_others(deployment),
        *checks.form(deployment, options.form, options.torch_index),
    ]


def _refuse_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise SpecError(
            f"name {name!r} can't be used for a function",
            why="Cloud Functions takes a letter first, then lower-case letters, digits and hyphens",
            fix=f"name it {f'fn-{name}'[:63].rstrip('-')!r}",
        )


def _refuse_access(deployment: Deployment, options: Options) -> None:
    checks.refuse_access(deployment.access, "a function")
    if deployment.access.kms_key is not None and options.docker_repository is None:
        raise SpecError(
            "Access.kms_key is given without docker_repository",
            why="a function with a key of yours takes an Artifact Registry repository made with that key "
            "(Cloud Functions v2, Function.kmsKeyName)",
            fix="give docker_repository='projects/…/locations/…/repositories/…'",
        )


def refuse_scaling(wish: Autoscaling) -> None:
    """Refuse a policy beyond what a function may have.

    Raises:
        SpecError: names the limit.
    """
    concurrency = sizes.concurrency_of(wish)
    if concurrency > MOST_CONCURRENCY:
        raise SpecError(
            f"Autoscaling.concurrency is {wish.concurrency:g}",
            why=f"an instance gets {MOST_CONCURRENCY} requests at once at the most; the target is 60 % of it",
            fix=f"set it to {MOST_CONCURRENCY * 6 // 10} or less",
        )
    if wish.max > MOST_INSTANCES:
        raise SpecError(
            f"Autoscaling.max is {wish.max:,}",
            why=f"a function has {MOST_INSTANCES:,} instances at the most (Cloud Run, 'Quotas and limits')",
            fix=f"set it to {MOST_INSTANCES:,} or less",
        )


def _compute(deployment: Deployment) -> Iterator[Finding]:
    compute = deployment.compute
    yield from checks.computing(
        compute,
        "Cloud Functions",
        machines="leave it out, and give memory_mb; the target cloud-run has GPUs",
        made="function",
    )
    if compute.startup_timeout_s != STARTUP_S:
        yield Finding(
            "compute.startup_timeout_s",
            "impossible",
            "Cloud Functions has no such setting: an instance must listen within 240 s",
            "leave it out, or use the target cloud-run",
        )


def _access(deployment: Deployment, options: Options) -> Iterator[Finding]:
    access = deployment.access
    if access.subnets:
        yield Finding(
            "access.subnets",
            "impossible",
            "the API's field for it (serviceConfig.directVpcNetworkInterface) isn't known to Google's Python "
            "client yet, and Google Cloud has no security groups",
            "give the option vpc_connector, or use the target cloud-run",
        )
    yield from checks.accessing(access, options.ingress, options.secrets)


def _others(deployment: Deployment) -> Iterator[Finding]:
    if deployment.compression == "none":
        yield Finding(
            "compression",
            "impossible",
            "Cloud Functions takes a zip",
            "set compression to 'auto'; a zip is sent",
        )
    yield from alarming.findings(deployment.alarms)
