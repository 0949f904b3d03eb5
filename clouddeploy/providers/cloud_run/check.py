"""What Cloud Run makes of a wish, told before anything is created. Makes no call."""

from __future__ import annotations

import re
from collections.abc import Iterator

from clouddeploy.engine.finding import Finding
from clouddeploy.errors import SpecError
from clouddeploy.packaging.images import Reference
from clouddeploy.providers.cloud_run import names, sizes
from clouddeploy.providers.cloud_run.configuration import STARTUP_S, environment
from clouddeploy.providers.cloud_run.gpus import gpu_of
from clouddeploy.providers.cloud_run.mapping import AUTOSCALING
from clouddeploy.providers.cloud_run.options import Options
from clouddeploy.providers.gcp.labels import RELEASE_VARIABLE, check_labels
from clouddeploy.providers.gcp.run import alarming, checks
from clouddeploy.providers.gcp.run.mapping import MENDS
from clouddeploy.spec import Autoscaling, Compute, Deployment

MOST_INSTANCES = 1000
"""Instances in a region ("Quotas and limits"); more are given on request."""
RESERVED_ENV = frozenset(["PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"])
RESERVED_PREFIXES = ("X_GOOGLE_", RELEASE_VARIABLE)
"""Cloud Run documentation, "Configure environment variables for services"; the last one is ours."""
REGISTRIES = re.compile(r"(?:[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io|docker\.io)\Z")
"""Where Cloud Run takes images from ("Deploying container images")."""
STARTUP_DEFAULT_S = Compute().startup_timeout_s
"""What stands there when nobody asks for another."""


def check(deployment: Deployment, options: Options, region: str, *, host: str = "") -> list[Finding]:
    """Findings on `deployment`.

    Args:
        region: where it is to run.
        host: of the registry, where something answers instead of Google's.

    Raises:
        SpecError: a field can't be meant.
    """
    _refuse_name(deployment.name)
    check_labels(deployment.tags)
    concurrency = sizes.concurrency_of(deployment.autoscaling, options.cpu)
    sizes.cpu_of(deployment.compute, options, concurrency)
    refuse_scaling(deployment.autoscaling, options.cpu)
    checks.refuse_env(
        environment(deployment),
        options.secrets,
        RESERVED_ENV,
        RESERVED_PREFIXES,
        "Configure environment variables for services",
    )
    checks.refuse_access(deployment.access, "a service")
    alarming.refuse_alarms(deployment.alarms)
    _refuse_image(options, host)
    if options.image is None:
        most_mb = gpu_of(options.gpu).memory_mb if options.gpu else 0
        memory_mb = sizes.memory_of(deployment.compute, options)
        checks.refuse_heavy(deployment, memory_mb, max(most_mb, sizes.MEMORY_RANGE_MB[1]))
    return [
        *_compute(deployment, options, region),
        *checks.scaling(deployment.autoscaling, AUTOSCALING, MENDS),
        *_access(deployment, options),
        *_others(deployment, options),
    ]


def _refuse_name(name: str) -> None:
    if not names.SERVICE.fullmatch(name):
        raise SpecError(
            f"name {name!r} can't be used for a Cloud Run service",
            why="it begins with a letter and has fewer than 50 characters (Cloud Run v2, services.create)",
            fix=f"name it {f'run-{name}'[:49].rstrip('-')!r}"
            if not name[0].isalpha()
            else "choose a shorter one",
        )


def refuse_scaling(wish: Autoscaling, cpu: float | None) -> None:
    """Refuse limits that no service takes.

    Raises:
        SpecError: names the field and what is allowed.
    """
    if sizes.concurrency_of(wish, cpu) > sizes.MOST_CONCURRENCY:
        raise SpecError(
            f"Autoscaling.concurrency is {wish.concurrency:g}",
            why=f"an instance gets {sizes.MOST_CONCURRENCY} requests at once at the most, of which 60 % is "
            "the target",
            fix=f"set it to {sizes.MOST_CONCURRENCY * 6 // 10} or less",
        )
    if wish.max > MOST_INSTANCES:
        raise SpecError(
            f"Autoscaling.max is {wish.max:,}",
            why=f"a region has {MOST_INSTANCES:,} instances at the most ('Quotas and limits')",
            fix=f"set it to {MOST_INSTANCES:,} or less",
        )


def _refuse_image(options: Options, host: str) -> None:
    if options.image is None:
        return
    found = Reference.parse(options.image).host
    if found != host and not REGISTRIES.match(found):
        raise SpecError(
            f"image is {options.image!r}",
            why=f"Cloud Run takes images from Artifact Registry and Docker Hub, not from {found} ('Deploying "
            "container images')",
            fix="push it to Artifact Registry, or make a remote repository there for that registry",
        )


def _compute(deployment: Deployment, options: Options, region: str) -> Iterator[Finding]:
    compute = deployment.compute
    yield from checks.computing(
        compute,
        "Cloud Run",
        machines="leave it out, and give memory_mb and the options cpu and gpu",
        made="image",
    )
    if compute.startup_timeout_s > STARTUP_S and compute.startup_timeout_s != STARTUP_DEFAULT_S:
        yield Finding(
            "compute.startup_timeout_s",
            "approximated",
            f"a startup probe takes {STARTUP_S} s at the most, so {compute.startup_timeout_s} become that",
            f"set it to {STARTUP_S} or less",
        )
    regions = gpu_of(options.gpu).regions if options.gpu else frozenset()
    if regions and region not in regions:
        yield Finding(
            "gpu",
            "impossible",
            f"{options.gpu} isn't known to be in {region} (as of November 2026), so Cloud Run may refuse it",
            f"choose one of {', '.join(sorted(regions))}",
        )


def _access(deployment: Deployment, options: Options) -> Iterator[Finding]:
    access = deployment.access
    if access.subnets:
        yield Finding(
            "access.subnets",
            "impossible",
            "Google Cloud has no security groups, and a service is attached to a network by a connector here",
            "give the option vpc_connector",
        )
    yield from checks.accessing(access, options.ingress, options.secrets)


def _others(deployment: Deployment, options: Options) -> Iterator[Finding]:
    if deployment.compression == "none":
        yield Finding("compression", "impossible", "Cloud Run takes an image", "set compression to 'auto'")
    yield from alarming.findings(deployment.alarms)
    if options.image is not None:
        yield Finding(
            "model",
            "impossible",
            "an image of your own is run as it is, so the model isn't packed into it",
            "make sure that the image holds it, or leave image out",
        )
    else:
        # On a GPU the usual wheels of torch are the right ones.
        yield from checks.form(deployment, options.form, options.torch_index or options.gpu)
