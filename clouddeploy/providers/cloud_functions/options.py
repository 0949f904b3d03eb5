"""What a user can say of Cloud Functions that no other target knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from clouddeploy.errors import SpecError
from clouddeploy.packaging.cloud_functions import MODEL_BYTES_IN_ZIP, SOURCE_BYTES
from clouddeploy.providers.cloud_functions import runtimes
from clouddeploy.providers.gcp.options import CONNECTOR, Form, Ingress, check_path
from clouddeploy.providers.gcp.secrets import references
from clouddeploy.validation import check_choice

INGRESS = {
    "all": "ALLOW_ALL",
    "internal": "ALLOW_INTERNAL_ONLY",
    "internal-and-gclb": "ALLOW_INTERNAL_AND_GCLB",
}
"""Our words for ``serviceConfig.ingressSettings``."""
_REPOSITORY = re.compile(r"projects/[^/]+/locations/[^/]+/repositories/[^/]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Settings of the target ``cloud-functions``.

    Args:
        runtime: the runtime, such as ``"python313"``.
        cpu: CPUs of one instance; None takes the least that memory and concurrency ask for.
        ingress: from where it may be called: everywhere, from your VPC networks, or those and a load
            balancer.
        secrets: environment variables filled from Secret Manager, as ``{"KEY": "secret[:version]"}``.
        vpc_connector: ``projects/…/locations/…/connectors/…`` through which private addresses are reached.
        docker_repository: ``projects/…/locations/…/repositories/…`` for what is built, instead of
            Google's own; goes with ``Access.kms_key``.
        form: ``"onnx"`` exports a torch model; ``"torch"`` packs torch itself.
        torch_index: address of a package index that is asked besides the usual one, by Google's build
            too, such as PyTorch's for the CPU.
        model_bytes_in_zip: weights of more bytes than this lie in the bucket, and not in the source.
    """

    runtime: str = "python313"
    cpu: float | None = None
    ingress: Ingress = "all"
    secrets: Mapping[str, str] = field(default_factory=dict)
    vpc_connector: str | None = None
    docker_repository: str | None = None
    form: Form = "onnx"
    torch_index: str | None = None
    model_bytes_in_zip: int = MODEL_BYTES_IN_ZIP

    def __post_init__(self) -> None:
        runtimes.python_of(self.runtime)
        check_choice(self, "ingress", self.ingress, get_args(Ingress))
        check_choice(self, "form", self.form, get_args(Form))
        object.__setattr__(self, "secrets", references(self.secrets))
        check_path("vpc_connector", self.vpc_connector, CONNECTOR, "connectors")
        check_path("docker_repository", self.docker_repository, _REPOSITORY, "repositories")
        _check_bytes(self.model_bytes_in_zip)

    @property
    def python(self) -> str:
        """The runtime's Python, such as ``"3.13"``."""
        return runtimes.python_of(self.runtime)


def _check_bytes(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= SOURCE_BYTES:
        raise SpecError(
            f"model_bytes_in_zip is {value!r}",
            why=f"allowed: a whole number of bytes, 0 to {SOURCE_BYTES:,}, which a source may have in all",
            fix="correct it; 0 puts all weights into the bucket",
        )
