"""Where one deployment lives: the account, region and bucket, and what was seen there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from clouddeploy.errors import CloudError
from clouddeploy.providers.aws.autoscaling import Dimension
from clouddeploy.providers.aws.bucket import bucket_name
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.aws.role import role_name
from clouddeploy.providers.aws.survey import Survey
from clouddeploy.providers.aws_lambda import names

T = TypeVar("T")
MISSING = frozenset({"ResourceNotFoundException"})
EXISTS = frozenset({"ResourceConflictException", "ConflictException"})


@dataclass(frozen=True)
class Site:
    """One deployment's surroundings.

    Args:
        aws: the seam.
        name: the deployment, and its function.
        survey: its listing in the bucket.
        own_bucket: the bucket is ours, not one that the user named.
        seen: what the first ``GetFunction`` answered; None when there was no function.
        poll_s: seconds between the first two looks at something that takes time.
        timeout_s: seconds to wait for it at most.
        numbers: by release, the versions that were published through this object: what a listing would
            tell, without asking for it.
    """

    aws: Aws
    name: str
    survey: Survey
    own_bucket: bool
    seen: Mapping[str, Any] | None
    poll_s: float
    timeout_s: float
    numbers: dict[str, str] = field(default_factory=dict)

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.survey.bucket

    @property
    def role(self) -> str:
        """Name of the execution role that is made when none is given."""
        return role_name(self.aws.region, self.name, "-fn")

    @property
    def role_arn(self) -> str:
        """ARN of that role."""
        return f"arn:{self.aws.partition}:iam::{self.aws.account}:role/{self.role}"

    @property
    def arn(self) -> str:
        """The function's ARN, without a version."""
        return f"arn:{self.aws.partition}:lambda:{self.aws.region}:{self.aws.account}:function:{self.name}"

    @property
    def alias_arn(self) -> str:
        """ARN of the alias that callers use."""
        return f"{self.arn}:{names.ALIAS}"

    @property
    def dimension(self) -> Dimension:
        """What Application Auto Scaling scales."""
        resource = f"function:{self.name}:{names.ALIAS}"
        return Dimension("lambda", resource, "lambda:function:ProvisionedConcurrency")

    @property
    def empty(self) -> bool:
        """No function was seen and the bucket holds nothing, so that its parts needn't be looked for."""
        return self.seen is None and self.survey.untouched

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """One call of the Lambda API about the function."""
        return self.aws("lambda", operation, FunctionName=self.name, **params)

    def find(self, operation: str, **params: Any) -> dict[str, Any] | None:
        """The same; None when what it is about doesn't exist."""
        return self.aws.find("lambda", operation, MISSING, FunctionName=self.name, **params)

    def live(self, operation: str, **params: Any) -> dict[str, Any]:
        """One call about the function's alias."""
        return self.call(operation, Qualifier=names.ALIAS, **params)

    def find_live(self, operation: str, **params: Any) -> dict[str, Any] | None:
        """The same; None when what it is about doesn't exist."""
        return self.find(operation, Qualifier=names.ALIAS, **params)


def find_site(aws: Aws, name: str, *, bucket: str | None, poll_s: float, timeout_s: float) -> Site:
    """Look whether a function is there, which also tells whose account it is.

    AWS names the function's ARN in the answer, and in its refusal too; should it not, the account is
    asked for by a call of its own.
    """
    try:
        seen: Mapping[str, Any] | None = aws("lambda", "GetFunction", FunctionName=name)
    except CloudError as error:
        if not matches(error, MISSING):
            raise
        aws.learn_account(error.why)
        seen = None
    else:
        aws.learn_account(str(seen["Configuration"].get("FunctionArn", "")) if seen else "")
    chosen = bucket or bucket_name(aws.account, aws.region)
    owner = "" if bucket else aws.account
    survey = Survey(aws, chosen, name, prefix=names.prefix(name), owner=owner)
    return Site(aws, name, survey, bucket is None, seen, poll_s, timeout_s)


def made_or_there(make: Callable[[], object]) -> bool:
    """Call `make`; False when AWS answers that what it makes exists already."""
    try:
        make()
    except CloudError as error:
        if not matches(error, EXISTS):
            raise
        return False
    return True
