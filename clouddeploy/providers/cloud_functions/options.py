"""What a user can say of Cloud Functions that no other target knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from clouddeploy.errors import SpecError
from clouddeploy.providers.cloud_functions import runtimes
from clouddeploy.validation import check_choice, check_text_map

Ingress = Literal["all", "internal", "internal-and-gclb"]
Form = Literal["onnx", "torch"]
INGRESS = {
    "all": "ALLOW_ALL",
    "internal": "ALLOW_INTERNAL_ONLY",
    "internal-and-gclb": "ALLOW_INTERNAL_AND_GCLB",
}
"""Our words for ``serviceConfig.ingressSettings``."""
LATEST = "latest"
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,255}(:(latest|[1-9][0-9]*))?")
_CONNECTOR = re.compile(r"projects/[^/]+/locations/[^/]+/connectors/[^/]+")
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
    """

    runtime: str = "python313"
    cpu: float | None = None
    ingress: Ingress = "all"
    secrets: Mapping[str, str] = field(default_factory=dict)
    vpc_connector: str | None = None
    docker_repository: str | None = None
    form: Form = "onnx"

    def __post_init__(self) -> None:
        runtimes.python_of(self.runtime)
        check_choice(self, "ingress", self.ingress, get_args(Ingress))
        check_choice(self, "form", self.form, get_args(Form))
        given = check_text_map("Options", "secrets", self.secrets, _ENV_NAME)
        object.__setattr__(self, "secrets", MappingProxyType({k: _pinned(k, v) for k, v in given.items()}))
        _check_path("vpc_connector", self.vpc_connector, _CONNECTOR, "connectors")
        _check_path("docker_repository", self.docker_repository, _REPOSITORY, "repositories")

    @property
    def python(self) -> str:
        """The runtime's Python, such as ``"3.13"``."""
        return runtimes.python_of(self.runtime)


def _pinned(key: str, value: str) -> str:
    """``secret`` as ``secret:latest``."""
    if not _SECRET.fullmatch(value):
        raise SpecError(
            f"secrets[{key!r}] is {value!r}",
            why="allowed: the name of a secret of the same project, and if wanted a version: 'name:3'",
            fix="give it as 'name' or 'name:version', without a path",
        )
    return value if ":" in value else f"{value}:{LATEST}"


def _check_path(name: str, value: str | None, rule: re.Pattern[str], kind: str) -> None:
    if value is not None and not rule.fullmatch(value):
        raise SpecError(
            f"{name} is {value!r}",
            why=f"allowed: projects/<project>/locations/<region>/{kind}/<name>",
            fix="give the whole path",
        )
