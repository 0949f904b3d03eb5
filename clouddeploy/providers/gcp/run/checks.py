"""What Cloud Run makes of a wish, for a service or for a function: refusals and findings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from clouddeploy.engine.finding import Finding, Mapped
from clouddeploy.errors import SpecError
from clouddeploy.packaging.images.pytorch import needs_torch
from clouddeploy.spec import Access, Autoscaling, Compute, Deployment

ACCOUNT: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
KMS_KEY: Final = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
TORCH_FORMATS: Final = frozenset({"torch-export", "torch-state-dict", "torchscript"})
"""Formats that are exported to ONNX."""


def refuse_env(
    plain: Mapping[str, str],
    secrets: Mapping[str, str],
    names: frozenset[str],
    starts: tuple[str, ...],
    page: str,
) -> None:
    """Refuse variables that the platform or we set ourselves, and one that is set twice.

    Args:
        plain: variables with a value.
        secrets: variables that a secret fills.
        names: reserved names.
        starts: how reserved names begin.
        page: title of the documentation's page that lists them.

    Raises:
        SpecError: names the variable.
    """
    for name in sorted({*plain, *secrets}):
        if name in names or name.startswith(starts):
            raise SpecError(
                f"the environment variable {name!r} can't be set",
                why=f"it is reserved ({page!r})",
                fix="give it another name",
            )
    both = sorted(plain.keys() & secrets.keys())
    if both:
        raise SpecError(
            f"the environment variable {both[0]!r} has a value, and a secret too",
            why="env and secrets both set it",
            fix="keep one of them",
        )


def refuse_access(access: Access, noun: str) -> None:
    """Refuse an account or a key that is none.

    Args:
        noun: what runs: ``"a function"`` or ``"a service"``.

    Raises:
        SpecError: tells the form.
    """
    if access.role is not None and not ACCOUNT.fullmatch(access.role):
        raise SpecError(
            f"Access.role is {access.role!r}",
            why=f"{noun} runs as a service account, which is named by its email address",
            fix="give it as 'name@project.iam.gserviceaccount.com', or leave it out to have one made",
        )
    if access.kms_key is not None and not KMS_KEY.fullmatch(access.kms_key):
        raise SpecError(
            f"Access.kms_key is {access.kms_key!r}",
            why="allowed: projects/<project>/locations/<region>/keyRings/<ring>/cryptoKeys/<key>",
            fix="give the key's whole path",
        )


def refuse_heavy(deployment: Deployment, memory_mb: int, most_mb: int) -> None:
    """Refuse a model whose weights alone don't fit.

    Args:
        memory_mb: MiB of an instance.
        most_mb: MiB that one may have.

    Raises:
        SpecError: tells both sizes.
    """
    need_mb = deployment.model.size / (1 << 20)
    if need_mb > memory_mb:
        raise SpecError(
            f"the model has {need_mb:,.0f} MiB and an instance has {memory_mb:,} MiB of memory",
            why="its weights alone don't fit",
            fix=f"set Compute.memory_mb higher ({most_mb:,} at the most), or take a smaller model",
        )


def computing(compute: Compute, product: str, *, machines: str, made: str) -> Iterator[Finding]:
    """On machine types, the architecture, and a limit on all instances together.

    Args:
        product: such as ``"Cloud Run"``.
        machines: what to do without machine types.
        made: what is made for x86_64: ``"function"`` or ``"image"``.
    """
    if compute.instance is not None:
        yield Finding("compute.instance", "impossible", f"{product} has no machine types", machines)
    if compute.architecture != "x86_64":
        yield Finding(
            "compute.architecture",
            "impossible",
            f"{product} runs x86_64 only, so the {made} is made for that",
            "leave it out",
        )
    if compute.max_concurrency is not None:
        yield Finding(
            "compute.max_concurrency",
            "impossible",
            "no limit on the requests of all instances together can be set",
            "set autoscaling.max, and a concurrency target for each instance",
        )


def scaling(wish: Autoscaling, mapping: Mapping[str, Mapped], mends: Mapping[str, str]) -> Iterator[Finding]:
    """On each field of the policy that is given and isn't exact."""
    for name, mapped in mapping.items():
        if mapped.support != "exact" and getattr(wish, name) not in (None, ()):
            yield Finding(f"autoscaling.{name}", mapped.support, mapped.how, mends[name])


def accessing(access: Access, ingress: str, secrets: Mapping[str, str]) -> Iterator[Finding]:
    """On who may call it, and on an account of the user's own."""
    if access.public and ingress != "all":
        yield Finding(
            "access.public",
            "approximated",
            f"anyone may call it who can reach it, and ingress={ingress!r} limits who can",
            "set ingress='all' if the internet is meant",
        )
    if access.role is not None and secrets:
        yield Finding(
            "access.role",
            "approximated",
            "an account of your own gets no permission from us: it must be able to read the secrets already",
            "grant it roles/secretmanager.secretAccessor on them",
        )


def form(deployment: Deployment, form: str, torch_index: str | None) -> Iterator[Finding]:
    """On the form in which a torch model is packed."""
    if form == "onnx" and deployment.model.format in TORCH_FORMATS:
        yield Finding(
            "model",
            "approximated",
            "the model is exported to ONNX and compared with torch, since torch makes cold starts slow",
            "set form='torch' to pack torch itself",
        )
    elif form == "torch" and not torch_index and needs_torch(deployment.model):
        yield Finding(
            "torch_index",
            "approximated",
            "without it, the usual wheels of torch are packed, which bring several GB of libraries for GPUs",
            "give the address of PyTorch's index for the CPU (see 'Start Locally' on pytorch.org)",
        )
