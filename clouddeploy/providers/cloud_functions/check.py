"""What Cloud Functions makes of a wish, told before anything is created. Makes no call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime

from clouddeploy.engine.finding import Finding
from clouddeploy.errors import SpecError
from clouddeploy.providers.cloud_functions import runtimes, sizes
from clouddeploy.providers.cloud_functions.configuration import environment
from clouddeploy.providers.cloud_functions.mapping import AUTOSCALING, MENDS, MOST_CONCURRENCY
from clouddeploy.providers.cloud_functions.options import Options
from clouddeploy.providers.gcp.labels import check_labels
from clouddeploy.spec import Autoscaling, Compute, Deployment

NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""Cloud Functions v2, ``functions.create``: 63 characters, as Cloud Run names its services."""
MOST_INSTANCES = 1000
"""serviceConfig.maxInstanceCount, and Cloud Run's own limit of instances in a region."""
ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
KMS_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
RESERVED_ENV = frozenset(
    ["FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE", "K_SERVICE", "K_REVISION", "K_CONFIGURATION", "PORT"]
)
RESERVED_PREFIXES = ("X_GOOGLE_", "CLOUDDEPLOY_RELEASE")
"""Cloud Run functions documentation, "Configure environment variables"; the last one is ours."""
TORCH_FORMATS = frozenset({"torch-export", "torch-state-dict", "torchscript"})
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
    _refuse_env(deployment, options)
    _refuse_access(deployment, options)
    refuse_scaling(deployment.autoscaling)
    sizes.cpu_of(deployment.compute, options.cpu, sizes.concurrency_of(deployment.autoscaling))
    _refuse_model(deployment)
    told = runtimes.finding(options.runtime, today or datetime.now(UTC).date())
    return [
        *([told] if told else []),
        *_compute(deployment),
        *_scaling(deployment),
        *_access(deployment, options),
        *_others(deployment, options),
    ]


def _refuse_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise SpecError(
            f"name {name!r} can't be used for a function",
            why="Cloud Functions takes a letter first, then lower-case letters, digits and hyphens",
            fix=f"name it {f'fn-{name}'[:63].rstrip('-')!r}",
        )


def _refuse_env(deployment: Deployment, options: Options) -> None:
    for name in sorted({*environment(deployment), *options.secrets}):
        if name in RESERVED_ENV or name.startswith(RESERVED_PREFIXES):
            raise SpecError(
                f"the environment variable {name!r} can't be set",
                why="it is reserved ('Configure environment variables')",
                fix="give it another name",
            )
    both = sorted(environment(deployment).keys() & options.secrets.keys())
    if both:
        raise SpecError(
            f"the environment variable {both[0]!r} has a value, and a secret too",
            why="env and secrets both set it",
            fix="keep one of them",
        )


def _refuse_access(deployment: Deployment, options: Options) -> None:
    access = deployment.access
    if access.role is not None and not ACCOUNT.fullmatch(access.role):
        raise SpecError(
            f"Access.role is {access.role!r}",
            why="a function runs as a service account, which is named by its email address",
            fix="give it as 'name@project.iam.gserviceaccount.com', or leave it out to have one made",
        )
    if access.kms_key is None:
        return
    if not KMS_KEY.fullmatch(access.kms_key):
        raise SpecError(
            f"Access.kms_key is {access.kms_key!r}",
            why="allowed: projects/<project>/locations/<region>/keyRings/<ring>/cryptoKeys/<key>",
            fix="give the key's whole path",
        )
    if options.docker_repository is None:
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


def _refuse_model(deployment: Deployment) -> None:
    memory_mb = sizes.memory_of(deployment.compute)
    need_mb = deployment.model.size / (1 << 20)
    if need_mb > memory_mb:
        raise SpecError(
            f"the model has {need_mb:,.0f} MiB and an instance has {memory_mb:,} MiB of memory",
            why="its weights alone don't fit",
            fix="set Compute.memory_mb higher, or take a smaller model",
        )


def _compute(deployment: Deployment) -> Iterator[Finding]:
    compute = deployment.compute
    if compute.instance is not None:
        yield Finding(
            "compute.instance",
            "impossible",
            "Cloud Functions has no machine types",
            "leave it out, and give memory_mb; the target cloud-run has GPUs",
        )
    if compute.architecture != "x86_64":
        yield Finding(
            "compute.architecture",
            "impossible",
            "Cloud Functions runs on x86_64 only, so the function is made for that",
            "leave it out",
        )
    if compute.max_concurrency is not None:
        yield Finding(
            "compute.max_concurrency",
            "impossible",
            "no limit on the requests of all instances together can be set",
            "set autoscaling.max, and a concurrency target for each instance",
        )
    if compute.startup_timeout_s != STARTUP_S:
        yield Finding(
            "compute.startup_timeout_s",
            "impossible",
            "Cloud Functions has no such setting: an instance must listen within 240 s",
            "leave it out, or use the target cloud-run",
        )


def _scaling(deployment: Deployment) -> Iterator[Finding]:
    wish = deployment.autoscaling
    for name, mapped in AUTOSCALING.items():
        if mapped.support != "exact" and getattr(wish, name) not in (None, ()):
            yield Finding(f"autoscaling.{name}", mapped.support, mapped.how, MENDS[name])


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
    if access.public and options.ingress != "all":
        yield Finding(
            "access.public",
            "approximated",
            f"anyone may call it who can reach it, and ingress={options.ingress!r} limits who can",
            "set ingress='all' if the internet is meant",
        )
    if access.role is not None and options.secrets:
        yield Finding(
            "access.role",
            "approximated",
            "an account of your own gets no permission from us: it must be able to read the secrets already",
            "grant it roles/secretmanager.secretAccessor on them",
        )


def _others(deployment: Deployment, options: Options) -> Iterator[Finding]:
    if deployment.compression == "none":
        yield Finding(
            "compression",
            "impossible",
            "Cloud Functions takes a zip",
            "set compression to 'auto'; a zip is sent",
        )
    for alarm in deployment.alarms:
        yield Finding(
            f"alarms.{alarm.metric}",
            "impossible",
            "no alert policies are made on Google Cloud",
            "make one in Cloud Monitoring on run.googleapis.com/request_count or request_latencies",
        )
    if options.form == "onnx" and deployment.model.format in TORCH_FORMATS:
        yield Finding(
            "model",
            "approximated",
            "the model is exported to ONNX and compared with torch, since torch makes cold starts slow",
            "set form='torch' to pack torch itself",
        )
