"""What SageMaker makes of a wish, told before anything is created. Makes no call."""

from __future__ import annotations

from collections.abc import Iterator

from clouddeploy.engine.finding import Finding
from clouddeploy.errors import SpecError
from clouddeploy.providers.aws import cron
from clouddeploy.providers.sagemaker import runtime
from clouddeploy.providers.sagemaker.instances import DEFAULT, NO_TORCH_IMAGE, instance, known_types
from clouddeploy.providers.sagemaker.options import Options
from clouddeploy.spec import Deployment, suggest

SERVERLESS_MEMORY_MB = (1024, 2048, 3072, 4096, 5120, 6144)
SERVERLESS_CONCURRENCY = 200
"""ServerlessMaxConcurrency goes from 1 to 200 (ProductionVariantServerlessConfig, API reference)."""
REQUEST_TIMEOUT_S = 60
"""A container must answer within 60 seconds (InvokeEndpoint, API reference)."""


def is_serverless(deployment: Deployment) -> bool:
    """Whether the wish means serverless inference: memory is given, and no machine type."""
    return deployment.compute.instance is None and deployment.compute.memory_mb is not None


def machine(deployment: Deployment) -> str:
    """The machine type of a wish that isn't serverless."""
    return deployment.compute.instance or DEFAULT


def check(deployment: Deployment, options: Options | None = None) -> list[Finding]:
    """Findings on `deployment`.

    Args:
        options: what is packed and how; by default model data for AWS's images.

    Raises:
        SpecError: a field can't be meant.
    """
    chosen = options or Options()
    findings = list(_serverless(deployment) if is_serverless(deployment) else _instances(deployment))
    findings += _scaling(deployment)
    findings += _both(deployment)
    besides = _beside(deployment, chosen)
    return [f for f in findings if f not in besides] + list(_built(deployment, chosen))


def _beside(deployment: Deployment, options: Options) -> list[Finding]:
    """The findings that don't hold for this image: they are about AWS's, or about model data."""
    wrote = runtime.finding(deployment.model)
    if options.image is not None:
        return [f for f in (wrote, _accelerator(machine(deployment))) if f]
    return [f for f in (wrote, *_archives(deployment)) if f] if options.builds_image else []


def _built(deployment: Deployment, options: Options) -> Iterator[Finding]:
    """What holds for an image that is built."""
    if not options.builds_image:
        return
    if deployment.compression != "auto":
        yield Finding(
            "compression",
            "approximated",
            "an image's layers are gzipped, each by itself",
            "leave it at 'auto', or package='model-data'",
        )
    if not is_serverless(deployment) and instance(machine(deployment)).gpus and options.form == "onnx":
        yield Finding(
            "compute.instance",
            "approximated",
            f"{machine(deployment)} has a GPU, and the ONNX form in a built image computes without it",
            "give the provider form='torch', whose packages bring CUDA's libraries, or a type without GPU",
        )


def _accelerator(name: str) -> Finding | None:
    if not NO_TORCH_IMAGE.match(name.partition(".")[2]):
        return None
    return Finding(
        "compute.instance",
        "impossible",
        f"{name} needs a model compiled for its accelerator, and an image that drives it",
        "choose a CPU or NVIDIA type, or give the provider an image of your own",
    )


def _both(deployment: Deployment) -> Iterator[Finding]:
    if deployment.compute.timeout_s > REQUEST_TIMEOUT_S:
        yield Finding(
            "compute.timeout_s",
            "impossible",
            f"SageMaker ends a request after {REQUEST_TIMEOUT_S} s",
            f"set it to {REQUEST_TIMEOUT_S} or less; longer work is for batch",
        )
    if deployment.access.public:
        yield Finding(
            "access.public",
            "impossible",
            "SageMaker answers signed requests only, and the endpoint stays private",
            "put an API gateway in front of it, or leave it out",
        )
    if deployment.access.cors_origins:
        yield Finding(
            "access.cors_origins",
            "impossible",
            "a browser can't sign requests to SageMaker, so no page can call the endpoint",
            "put an API gateway in front of it, or leave it out",
        )
    found = runtime.finding(deployment.model)
    if found:
        yield found
    limit = max((len(f"{k}{v}".encode()) for k, v in deployment.env.items()), default=0)
    if limit > 1024 or len(deployment.env) > 90:
        raise SpecError(
            f"Deployment.env has {len(deployment.env)} entries, the longest of {limit} bytes",
            why="SageMaker takes 100 entries, ours included, of up to 1,024 bytes (ContainerDefinition)",
            fix="put long values into a file of the model",
        )


def _serverless(deployment: Deployment) -> Iterator[Finding]:
    compute, access = deployment.compute, deployment.access
    if compute.memory_mb not in SERVERLESS_MEMORY_MB:
        raise SpecError(
            f"Compute.memory_mb is {compute.memory_mb}",
            why=f"serverless inference has sizes of {', '.join(map(str, SERVERLESS_MEMORY_MB))} MiB",
            fix="choose one of them, or name an instance",
        )
    if compute.max_concurrency is not None and compute.max_concurrency > SERVERLESS_CONCURRENCY:
        raise SpecError(
            f"Compute.max_concurrency is {compute.max_concurrency}",
            why=f"serverless inference serves 1 to {SERVERLESS_CONCURRENCY} requests at once",
            fix=f"set it to {SERVERLESS_CONCURRENCY} or less, or name an instance",
        )
    _refuse_large(deployment, compute.memory_mb, "serverless inference of that size")
    if compute.architecture != "x86_64":
        yield Finding(
            "compute.architecture",
            "impossible",
            "serverless inference runs on x86_64 only",
            "leave it, or name an instance",
        )
    if access.subnets:
        yield Finding(
            "access.subnets",
            "impossible",
            "serverless inference takes no VPC configuration (Developer Guide, feature exclusions)",
            "name an instance, or leave the subnets out",
        )
    yield from _archives(deployment)
    if deployment.alarms:
        yield Finding(
            "alarms",
            "approximated",
            "a serverless endpoint has no blue/green update: an alarm tells people but rolls nothing back",
            "name an instance for updates that roll back",
        )


def _archives(deployment: Deployment) -> Iterator[Finding]:
    if is_serverless(deployment) and deployment.compression == "none":
        yield Finding(
            "compression",
            "impossible",
            "serverless inference takes a gzipped archive only (ContainerDefinition.ModelDataSource)",
            "set compression to 'auto'; an archive is sent",
        )


def _instances(deployment: Deployment) -> Iterator[Finding]:
    name, compute = machine(deployment), deployment.compute
    known = known_types()
    if name.count(".") != 2 or (known and name not in known):
        near = f"; did you mean {f'ml.{name}'!r}?" if f"ml.{name}" in known else suggest(name, sorted(known))
        raise SpecError(
            f"Compute.instance is {name!r}, which SageMaker doesn't have for endpoints{near}",
            why=f"this boto3 knows {len(known)} types",
            fix="name one of them, or update boto3 if the type is new",
        )
    facts = instance(name)
    accelerator = _accelerator(name)
    if accelerator:
        yield accelerator
    if compute.instance is None:
        yield Finding(
            "compute.instance",
            "exact",
            f"none is given, so one {DEFAULT} runs all the time",
            "name another type, or give memory_mb alone for serverless inference",
        )
    elif compute.architecture != facts.architecture and compute.architecture == "arm64":
        raise SpecError(
            f"Compute.architecture is {compute.architecture!r} and {name} has {facts.architecture}",
            why="a machine type has one architecture",
            fix=f"set architecture to {facts.architecture!r}, or choose a type such as 'ml.c7g.large'",
        )
    if compute.memory_mb and facts.memory_mb and compute.memory_mb > facts.memory_mb:
        raise SpecError(
            f"Compute.memory_mb is {compute.memory_mb} and {name} has {facts.memory_mb} MiB",
            why="the machine type says how much memory there is",
            fix="choose a larger type",
        )
    if compute.max_concurrency is not None:
        yield Finding(
            "compute.max_concurrency",
            "impossible",
            "an instance-based endpoint has no cap on concurrent requests",
            "use autoscaling.concurrency, or serverless inference",
        )
    _refuse_large(deployment, facts.memory_mb, name)


def _refuse_large(deployment: Deployment, memory_mb: int | None, where: str) -> None:
    need_mb = deployment.model.size / (1 << 20)
    if memory_mb is not None and need_mb > memory_mb:
        raise SpecError(
            f"the model has {need_mb:,.0f} MiB and {where} has {memory_mb:,} MiB of memory",
            why="its weights alone don't fit",
            fix="choose a machine with more memory, or a smaller model",
        )


def _scaling(deployment: Deployment) -> Iterator[Finding]:
    wish = deployment.autoscaling
    if wish.utilization is not None:
        yield Finding(
            "autoscaling.utilization",
            "impossible",
            "SageMaker has no metric of that kind for instances",
            "use requests_per_minute, concurrency or cpu",
        )
    if wish.min == wish.max and not wish.schedules and not is_serverless(deployment):
        asked = [n for n in ("requests_per_minute", "concurrency", "cpu") if getattr(wish, n) is not None]
        for name in asked:
            yield Finding(
                f"autoscaling.{name}",
                "approximated",
                f"min and max are both {wish.min}, so there is nothing to scale and no policy is made",
                "give max a larger value",
            )
    for schedule in wish.schedules:
        cron.to_aws(schedule.cron)
        cron.check_timezone(schedule.timezone)
    if is_serverless(deployment):
        yield from _serverless_scaling(deployment)
        return
    lows = [wish.min, *(s.min for s in wish.schedules if s.min is not None)]
    if 0 in lows:
        yield Finding(
            "autoscaling.min",
            "impossible",
            "a variant on instances keeps at least one; zero takes inference components",
            "set it to 1, or give memory_mb and no instance for serverless inference",
        )


def _serverless_scaling(deployment: Deployment) -> Iterator[Finding]:
    wish = deployment.autoscaling
    if wish.min > 0:
        yield Finding(
            "autoscaling.min",
            "approximated",
            "serverless inference goes to zero, and the first request after a pause waits for a start",
            "set it to 0 to agree, or name an instance to keep copies running",
        )
    targets = ("requests_per_minute", "concurrency", "cpu")
    asked = [n for n in targets if getattr(wish, n) is not None] + (["schedules"] if wish.schedules else [])
    for name in asked:
        yield Finding(
            f"autoscaling.{name}",
            "impossible",
            "serverless inference scales by itself, up to compute.max_concurrency",
            "leave it out, or name an instance",
        )
