"""The image that AWS Lambda runs: AWS's base image for Python, with our files in ``/var/task``.

Sources: AWS Lambda Developer Guide, "Deploy Python Lambda functions with container images" (base images,
``LAMBDA_TASK_ROOT``, the handler as CMD) and "Lambda quotas" (10 GB, uncompressed, all layers included).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from clouddeploy.errors import ModelError, SpecError
from clouddeploy.model import Model
from clouddeploy.packaging import wheels
from clouddeploy.packaging.artifact import Artifact, Member
from clouddeploy.packaging.aws_lambda import own_members, refuse_clashes
from clouddeploy.packaging.images.base import Base
from clouddeploy.packaging.images.image import ImageArtifact
from clouddeploy.packaging.images.layer import Layer
from clouddeploy.packaging.images.pytorch import cuda_warning, torch_needs
from clouddeploy.packaging.needs import needs
from clouddeploy.packaging.parts import users_parts
from clouddeploy.packaging.platforms import Platform

TASK_ROOT = "/var/task"
HANDLER = "lambda_handler.handler"
REPOSITORY = "public.ecr.aws/lambda/python"
IMAGE_BYTES = 10 << 30
CODE = frozenset(
    ("lambda_handler.py", "clouddeploy", "app", "requirements.lock", "clouddeploy-packages.json")
)
LAYERS = ("requirements", "model", "code")
"""What changes seldom first: a new handler then sends some kilobytes, a new model no wheels."""


@dataclass(frozen=True)
class LambdaFiles:
    """A model packed for an image: what goes below `TASK_ROOT`, named as in the zip form.

    Args:
        platform: what it was packed for.
        lock: its requirements for that platform, one pin a line.
        warnings: what the maker should know, such as a suspected secret (never the secret itself).
        members: the files, sorted by name.
        origin: kept alive with the files.
    """

    platform: Platform
    lock: tuple[str, ...]
    warnings: tuple[str, ...]
    members: tuple[Member, ...] = field(repr=False)
    origin: object = field(repr=False, compare=False, default=None)


def lambda_files(model: Model, *, python: str, architecture: str) -> LambdaFiles:
    """`model` with its requirements as an image holds it: a torch model with torch, nothing exported.

    Args:
        model: what to pack.
        python: of the base image, such as ``"3.13"``.
        architecture: ``"arm64"`` or ``"x86_64"``.

    Raises:
        SpecError: Python or architecture are none.
        ModelError: a requirement has no wheel for that platform, or names clash.
        TargetError: uv isn't installed.
    """
    platform = Platform.of_lambda(python, architecture)
    lock = wheels.resolve((*needs(model), *torch_needs(model)), platform)
    tree = wheels.installed(lock, platform)
    refuse_clashes(tree)
    warnings: list[str] = []
    mine = users_parts(model, warnings)
    warnings += cuda_warning(lock, tree.members)
    members = (*own_members(model, lock, tree, platform), *mine, *tree.members)
    content = Artifact("zip", members)  # sorts them, and refuses names that clash
    return LambdaFiles(platform, lock, tuple(warnings), content.members, model)


def lambda_base(python: str = "3.13") -> str:
    """The name of AWS's base image for a version of Python.

    Raises:
        SpecError: `python` is no version.
    """
    if not re.fullmatch(r"3\.\d{1,2}", python):
        raise SpecError(f"python is {python!r}", why="expected a version such as '3.13'", fix="correct it")
    return f"{REPOSITORY}:{python}"


def lambda_image(
    base: Base,
    members: Iterable[Member],
    *,
    handler: str = HANDLER,
    env: Mapping[str, str] | None = None,
) -> ImageArtifact:
    """`base` with `members`, named as in the zip form, on it.

    Raises:
        ModelError: it is larger than Lambda takes, or names clash.
        SpecError: `env` can't be set.
    """
    parts: dict[str, list[Member]] = {what: [] for what in LAYERS}
    for member in members:
        top = member.name.partition("/")[0]
        parts["model" if top == "model" else "code" if top in CODE else "requirements"].append(member)
    layers = tuple(Layer.of(parts[what], root=TASK_ROOT, what=what) for what in LAYERS if parts[what])
    refuse_size(base, layers)
    return ImageArtifact(base, layers, cmd=(handler,), env=env or {})


def refuse_size(base: Base, layers: Iterable[Layer]) -> None:
    """Refuse what Lambda would refuse after the upload; of the base only the compressed size is known.

    Raises:
        ModelError: tells the sizes and what to do.
    """
    found = tuple(layers)
    below = sum(layer.size for layer in base.layers)
    total = below + sum(layer.size for layer in found)
    if total <= IMAGE_BYTES:
        return
    parts = ", ".join(f"{layer.what} {layer.size:,} bytes" for layer in found)
    raise ModelError(
        f"the image has at least {total:,} bytes",
        why=f"Lambda takes {IMAGE_BYTES:,} bytes, uncompressed: {parts}, base image at least {below:,} bytes",
        fix="make the weights smaller (float16, quantisation), or choose a target that loads larger models",
    )
