"""What a user can say of Lambda that no other target knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clouddeploy.errors import SpecError
from clouddeploy.packaging.images.reference import Reference
from clouddeploy.providers.aws.images import REPOSITORY
from clouddeploy.validation import check_choice, check_flag

Url = Literal["iam", "public", "none"]
PackageKind = Literal["zip", "image"]
RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
"""What PutRetentionPolicy takes (CloudWatch Logs API reference)."""
DESTINATIONS = ("sqs", "sns")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Settings of the target ``lambda``.

    Args:
        runtime: the managed runtime, such as ``"python3.13"``.
        url: who may call the function's URL: ``"iam"`` signed requests of those who are allowed to;
            ``"public"`` anyone, and only together with ``Access(public=True)``; ``"none"`` there is no URL.
        http_api: an HTTP API of API Gateway in front of the function as well; anyone may call it with
            ``Access(public=True)``, else those whose signed requests your IAM policies allow.
        snap_start: start from a snapshot of the initialised process.
        on_failure: ARN of an SQS queue or SNS topic that gets events which failed when invoked
            asynchronously.
        reserved_concurrency: requests served at once at the most, taken from the account's own limit.
        retention_days: how long log lines are kept.
        ephemeral_mb: size of ``/tmp``, 512 to 10,240.
        image: URI of a container image in ECR that is run instead of a zip.
        package: what is built: ``"zip"``, or ``"image"`` for models with torch or of more than 250 MB.
        base_image: what a built image begins with; None is AWS's base image for the runtime's Python.
        repository: name of an existing repository in ECR for built images; None makes one for the
            deployment.
        base_registry: host of a registry, such as a mirror, that has AWS's base image under its own name.
    """

    runtime: str = "python3.13"
    url: Url = "iam"
    http_api: bool = False
    snap_start: bool = False
    on_failure: str | None = None
    reserved_concurrency: int | None = None
    retention_days: int = 14
    ephemeral_mb: int = 512
    image: str | None = None
    package: PackageKind = "zip"
    base_image: str | None = None
    repository: str | None = None
    base_registry: str | None = None

    def __post_init__(self) -> None:
        check_choice(self, "url", self.url, ("iam", "public", "none"))
        check_flag(self, "http_api", self.http_api)
        if self.retention_days not in RETENTION_DAYS:
            raise SpecError(
                f"Options.retention_days is {self.retention_days!r}",
                why=f"CloudWatch Logs keeps lines for {', '.join(map(str, RETENTION_DAYS))} days",
                fix="choose one of them",
            )
        self._check_on_failure()
        check_choice(self, "package", self.package, ("zip", "image"))
        self._check_image()

    def _check_on_failure(self) -> None:
        if self.on_failure is None:
            return
        parts = self.on_failure.split(":")
        if len(parts) < 6 or parts[0] != "arn" or parts[2] not in DESTINATIONS:
            raise SpecError(
                f"Options.on_failure is {self.on_failure!r}",
                why="allowed: the ARN of an SQS queue or an SNS topic",
                fix="give it as 'arn:aws:sqs:<region>:<account>:<queue>'",
            )

    def _check_image(self) -> None:
        if self.image and self.package == "image":
            raise SpecError(
                f"Options.image is {self.image!r} and package is 'image'",
                why="the one names a finished image, the other has one built",
                fix="give one of them",
            )
        for name, value in {"base_image": self.base_image, "repository": self.repository}.items():
            if value is not None and self.package != "image":
                raise SpecError(
                    f"Options.{name} is {value!r}, and no image is built",
                    why="it says how one is built",
                    fix="add package='image', or leave it out",
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
    def is_image(self) -> bool:
        """Whether the function runs an image, so that it has no managed runtime."""
        return self.package == "image" or self.image is not None

    @property
    def python(self) -> str:
        """The runtime's Python, such as ``"3.13"``."""
        return self.runtime.removeprefix("python")
