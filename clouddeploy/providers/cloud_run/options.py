"""What a user can say of Cloud Run that no other target knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from clouddeploy.errors import SpecError
from clouddeploy.providers.cloud_run.gpus import gpu_of
from clouddeploy.providers.gcp.options import CONNECTOR, Form, Ingress, check_path
from clouddeploy.providers.gcp.secrets import references
from clouddeploy.validation import check_choice

INGRESS = {
    "all": "INGRESS_TRAFFIC_ALL",
    "internal": "INGRESS_TRAFFIC_INTERNAL_ONLY",
    "internal-and-gclb": "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
}
"""Our words for ``Service.ingress``."""
_REPOSITORY = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_RUNTIME = re.compile(r"python(3)(\d{1,2})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Settings of the target ``cloud-run``.

    Args:
        runtime: which Python the image has, such as ``"python313"``.
        image: URI of a container image of your own that is run instead of one that is made.
        repository: id of an existing Artifact Registry repository for images, in the same project and
            region; None makes ``clouddeploy``.
        base_image: what the image begins with, instead of ``python:<version>-slim``.
        cpu: CPUs of one instance; None takes the least that the memory asks for.
        gpu: kind of GPU, such as ``"nvidia-l4"``; each instance gets one.
        gpu_zonal_redundancy: reserve the GPUs in a second zone too, which costs more.
        ingress: from where it may be called: everywhere, from your VPC networks, or those and a load
            balancer.
        secrets: environment variables filled from Secret Manager, as ``{"KEY": "secret[:version]"}``.
        vpc_connector: ``projects/…/locations/…/connectors/…`` through which private addresses are reached.
        form: ``"onnx"`` exports a torch model; ``"torch"`` packs torch itself.
        torch_index: address of a package index that is asked besides the usual one, such as PyTorch's
            for the CPU.
    """

    runtime: str = "python313"
    image: str | None = None
    repository: str | None = None
    base_image: str | None = None
    cpu: float | None = None
    gpu: str | None = None
    gpu_zonal_redundancy: bool = False
    ingress: Ingress = "all"
    secrets: Mapping[str, str] = field(default_factory=dict)
    vpc_connector: str | None = None
    form: Form = "onnx"
    torch_index: str | None = None

    def __post_init__(self) -> None:
        check_choice(self, "ingress", self.ingress, get_args(Ingress))
        check_choice(self, "form", self.form, get_args(Form))
        if not _RUNTIME.fullmatch(self.runtime):
            raise _wrong("runtime", self.runtime, "a Python such as 'python313'", "write it so")
        if self.gpu is not None:
            gpu_of(self.gpu)
        object.__setattr__(self, "secrets", references(self.secrets))
        check_path("vpc_connector", self.vpc_connector, CONNECTOR, "connectors")
        if self.repository is not None and not _REPOSITORY.fullmatch(self.repository):
            rule = "an id: a letter first, then lower-case letters, digits and hyphens"
            raise _wrong("repository", self.repository, rule, "give the id alone, without project or region")
        if self.image is not None:
            self._check_image(self.image)

    def _check_image(self, image: str) -> None:
        from clouddeploy.packaging.images import Reference

        Reference.parse(image)
        for name in ("base_image", "repository"):
            if getattr(self, name) is not None:
                raise SpecError(
                    f"image and {name} are both given",
                    why="an image of your own is run as it is, so none is made",
                    fix="give one of them",
                )

    @property
    def python(self) -> str:
        """The image's Python, such as ``"3.13"``."""
        return self.runtime.removeprefix("python")[:1] + "." + self.runtime.removeprefix("python")[1:]


def _wrong(name: str, value: str, allowed: str, fix: str) -> SpecError:
    return SpecError(f"{name} is {value!r}", why=f"allowed: {allowed}", fix=fix)
