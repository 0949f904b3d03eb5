"""The image that AWS Lambda runs: AWS's base image for Python, with our files in ``/var/task``.

Sources: AWS Lambda Developer Guide, "Deploy Python Lambda functions with container images" (base images,
``LAMBDA_TASK_ROOT``, the handler as CMD) and "Lambda quotas" (10 GB, uncompressed, all layers included).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from clouddeploy.errors import ModelError, SpecError
from clouddeploy.packaging.artifact import Member
from clouddeploy.packaging.images.base import Base
from clouddeploy.packaging.images.image import ImageArtifact
from clouddeploy.packaging.images.layer import Layer

TASK_ROOT = "/var/task"
HANDLER = "lambda_handler.handler"
REPOSITORY = "public.ecr.aws/lambda/python"
IMAGE_BYTES = 10 << 30
CODE = frozenset(
    ("lambda_handler.py", "clouddeploy", "app", "requirements.lock", "clouddeploy-packages.json")
)
LAYERS = ("requirements", "model", "code")
"""What changes seldom first: a new handler then sends some kilobytes, a new model no wheels."""


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
