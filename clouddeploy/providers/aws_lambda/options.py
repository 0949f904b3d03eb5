"""What a user can say of Lambda that no other target knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clouddeploy.errors import SpecError
from clouddeploy.validation import check_choice

Url = Literal["iam", "public"]
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
            ``"public"`` anyone, and only together with ``Access(public=True)``.
        snap_start: start from a snapshot of the initialised process.
        on_failure: ARN of an SQS queue or SNS topic that gets events which failed when invoked
            asynchronously.
        reserved_concurrency: requests served at once at the most, taken from the account's own limit.
        retention_days: how long log lines are kept.
        ephemeral_mb: size of ``/tmp``, 512 to 10,240.
        image: URI of a container image in ECR that is run instead of a zip.
    """

    runtime: str = "python3.13"
    url: Url = "iam"
    snap_start: bool = False
    on_failure: str | None = None
    reserved_concurrency: int | None = None
    retention_days: int = 14
    ephemeral_mb: int = 512
    image: str | None = None

    def __post_init__(self) -> None:
        check_choice(self, "url", self.url, ("iam", "public"))
        if self.retention_days not in RETENTION_DAYS:
            raise SpecError(
                f"Options.retention_days is {self.retention_days!r}",
                why=f"CloudWatch Logs keeps lines for {', '.join(map(str, RETENTION_DAYS))} days",
                fix="choose one of them",
            )
        self._check_on_failure()

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

    @property
    def python(self) -> str:
        """The runtime's Python, such as ``"3.13"``."""
        return self.runtime.removeprefix("python")
