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
from clouddeploy.providers.cloud_run.mapping import AUTOSCALING, MENDS
from clouddeploy.providers.cloud_run.options import Options
from clouddeploy.providers.gcp.labels import RELEASE_VARIABLE, check_labels
from clouddeploy.spec import Autoscaling, Compute, Deployment

MOST_INSTANCES = 1000
"""Instances in a region ("Quotas and limits"); more are given on request."""
ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
KMS_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
RESERVED_ENV = frozenset(["PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"])
RESERVED_PREFIXES = ("X_GOOGLE_", RELEASE_VARIABLE)
"""Cloud Run documentation, "Configure environment variables for services"; the last one is ours."""
TORCH_FORMATS = frozenset({"torch-export", "torch-state-dict", "torchscript"})
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
    _refuse_env(deployment, options, concurrency)
    _refuse_access(deployment)
    _refuse_image(options, host)
    _refuse_model(deployment, options)
    return [
        *_compute(deployment, options, region),
        *_scaling(deployment),
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


def _refuse_env(deployment: Deployment, options: Options, concurrency: int) -> None:
    plain = environment(deployment, concurrency)
    for name in sorted({*plain, *options.secrets}):
        if name in RESERVED_ENV or name.startswith(RESERVED_PREFIXES):
            raise SpecError(
                f"the environment variable {name!r} can't be set",
                why="it is reserved ('Configure environment variables for services')",
                fix="give it another name",
            )
    both = sorted(plain.keys() & options.secrets.keys())
    if both:
        raise SpecError(
            f"the environment variable {both[0]!r} has a value, and a secret too",
            why="env and secrets both set it",
            fix="keep one of them",
        )


def _refuse_access(deployment: Deployment) -> None:
    access = deployment.access
    if access.role is not None and not ACCOUNT.fullmatch(access.role):
        raise SpecError(
            f"Access.role is {access.role!r}",
            why="a service runs as a service account, which is named by its email address",
            fix="give it as 'name@project.iam.gserviceaccount.com', or leave it out to have one made",
        )
    if access.kms_key is not None and not KMS_KEY.fullmatch(access.kms_key):
        raise SpecError(
            f"Access.kms_key is {access.kms_key!r}",
            why="allowed: projects/<project>/locations/<region>/keyRings/<ring>/cryptoKeys/<key>",
            fix="give the key's whole path",
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


def _refuse_model(deployment: Deployment, options: Options) -> None:
    memory_mb = sizes.memory_of(deployment.compute, options)
    need_mb = deployment.model.size / (1 << 20)
    if need_mb > memory_mb and options.image is None:
        raise SpecError(
            f"the model has {need_mb:,.0f} MiB and an instance has {memory_mb:,} MiB of memory",
            why="its weights alone don't fit",
            fix="set Compute.memory_mb higher (32,768 at the most without a GPU), or take a smaller model",
        )


def _compute(deployment: Deployment, options: Options, region: str) -> Iterator[Finding]:
    compute = deployment.compute
    if compute.instance is not None:
        yield Finding(
            "compute.instance",
            "impossible",
            "Cloud Run has no machine types",
            "leave it out, and give memory_mb and the options cpu and gpu",
        )
    if compute.architecture != "x86_64":
        yield Finding(
            "compute.architecture",
            "impossible",
            "Cloud Run runs x86_64 only, so the image is made for that",
            "leave it out",
        )
    if compute.max_concurrency is not None:
        yield Finding(
            "compute.max_concurrency",
            "impossible",
            "no limit on the requests of all instances together can be set",
            "set autoscaling.max, and a concurrency target for each instance",
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
            "Google Cloud has no security groups, and a service is attached to a network by a connector here",
            "give the option vpc_connector",
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
        yield Finding("compression", "impossible", "Cloud Run takes an image", "set compression to 'auto'")
    for alarm in deployment.alarms:
        yield Finding(
            f"alarms.{alarm.metric}",
            "impossible",
            "no alert policies are made on Google Cloud",
            "make one in Cloud Monitoring on run.googleapis.com/request_count or request_latencies",
        )
    if options.image is not None:
        yield Finding(
            "model",
            "impossible",
            "an image of your own is run as it is, so the model isn't packed into it",
            "make sure that the image holds it, or leave image out",
        )
    elif options.form == "onnx" and deployment.model.format in TORCH_FORMATS:
        yield Finding(
            "model",
            "approximated",
            "the model is exported to ONNX and compared with torch, since torch makes cold starts slow",
            "set form='torch' to pack torch itself",
        )
    elif options.form == "torch" and not options.torch_index and not options.gpu:
        yield Finding(
            "torch_index",
            "approximated",
            "without it, the usual wheels of torch are packed, which bring several GB of libraries for GPUs",
            "give the address of PyTorch's index for the CPU (see 'Start Locally' on pytorch.org)",
        )
