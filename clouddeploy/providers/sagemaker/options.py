"""What a user can say of SageMaker that no other target knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from clouddeploy.errors import SpecError
from clouddeploy.packaging.images.reference import Reference
from clouddeploy.providers.aws.images import REPOSITORY
from clouddeploy.validation import check_choice

PackageKind = Literal["model-data", "image"]
Form = Literal["onnx", "torch"]
_PYTHON = re.compile(r"3\.\d{1,2}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Settings of the target ``sagemaker``.

    Args:
        package: what is built: ``"model-data"`` for an inference image, or ``"image"``, which holds the
            model and clouddeploy's own server.
        image: URI of an inference image that model data is put into, instead of AWS's PyTorch image.
        base_image: what a built image begins with; None is Python's slim image.
        repository: name of an existing repository in ECR for built images; None makes one for the
            deployment.
        base_registry: host of a registry, such as a mirror, that has Python's slim image.
        python: the built image's Python.
        form: ``"onnx"`` exports a torch model for a built image; ``"torch"`` packs torch itself.
        torch_index: address of a package index that is asked besides the usual one, such as PyTorch's for
            the CPU.
    """

    package: PackageKind = "model-data"
    image: str | None = None
    base_image: str | None = None
    repository: str | None = None
    base_registry: str | None = None
    python: str = "3.13"
    form: Form = "onnx"
    torch_index: str | None = None

    def __post_init__(self) -> None:
        check_choice(self, "package", self.package, get_args(PackageKind))
        check_choice(self, "form", self.form, get_args(Form))
        if self.image and self.builds_image:
            raise SpecError(
                f"Options.image is {self.image!r} and package is 'image'",
                why="the one names a finished image, the other has one built",
                fix="give one of them",
            )
        for name in ("base_image", "repository"):
            if getattr(self, name) is not None and not self.builds_image:
                raise SpecError(
                    f"Options.{name} is {getattr(self, name)!r}, and no image is built",
                    why="it says how one is built",
                    fix="add package='image', or leave it out",
                )
        if not _PYTHON.fullmatch(self.python):
            raise SpecError(
                f"Options.python is {self.python!r}",
                why="expected a version such as '3.13'",
                fix="correct it",
            )
        if self.base_image is not None:
            Reference.parse(self.base_image)
        if self.repository is not None and not REPOSITORY.fullmatch(self.repository):
            raise SpecError(
                f"Options.repository is {self.repository!r}",
                why="allowed: a repository's name as ECR has it, lower case, such as 'team/models'",
                fix="give the name without the registry's host",
            )

    @property
    def builds_image(self) -> bool:
        """Whether an image is built, which holds the model."""
        return self.package == "image"
