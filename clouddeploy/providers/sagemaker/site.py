"""Where one deployment lives: the account, region and bucket, and what was seen there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clouddeploy.errors import CloudError
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.autoscaling import Dimension
from clouddeploy.providers.aws.bucket import bucket_name
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.aws.role import role_name
from clouddeploy.providers.aws.survey import Survey
from clouddeploy.providers.sagemaker.names import VARIANT

NO_ENDPOINT = frozenset({"ValidationException: Could not find endpoint"})
NO_CONFIG = frozenset({"ValidationException: Could not find endpoint configuration"})
NO_MODEL = frozenset({"ValidationException: Could not find model"})
EXISTS = frozenset({"ValidationException: Cannot create already existing", "ResourceInUse"})


@dataclass(frozen=True)
class Site:
    """One deployment's surroundings.

    Args:
        aws: the seam.
        name: the deployment.
        survey: its listing in the bucket.
        own_bucket: the bucket is ours, not one that the user named.
        seen: what the first ``DescribeEndpoint`` answered; None when there was no endpoint.
        poll_s: seconds between the first two looks at something that takes time.
        timeout_s: seconds to wait for it at most.
    """

    aws: Aws
    name: str
    survey: Survey
    own_bucket: bool
    seen: Mapping[str, Any] | None
    poll_s: float
    timeout_s: float

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.survey.bucket

    @property
    def role(self) -> str:
        """Name of the execution role that is made when none is given."""
        return role_name(self.aws.region, self.name)

    @property
    def role_arn(self) -> str:
        """ARN of that role."""
        return f"arn:{self.aws.partition}:iam::{self.aws.account}:role/{self.role}"

    @property
    def dimension(self) -> Dimension:
        """What Application Auto Scaling scales."""
        resource = f"endpoint/{self.name}/variant/{VARIANT}"
        return Dimension("sagemaker", resource, "sagemaker:variant:DesiredInstanceCount")


def find_site(aws: Aws, name: str, *, bucket: str | None, poll_s: float, timeout_s: float) -> Site:
    """Look whether an endpoint is there, which also tells whose account it is.

    AWS names the endpoint's ARN in the answer, and in its refusal too; should it not, the account is
    asked for by a call of its own.
    """
    try:
        seen: Mapping[str, Any] | None = aws("sagemaker", "DescribeEndpoint", EndpointName=name)
    except CloudError as error:
        if not matches(error, NO_ENDPOINT):
            raise
        aws.learn_account(error.why)
        seen = None
    else:
        aws.learn_account(str(seen.get("EndpointArn", "")) if seen else "")
    chosen = bucket or bucket_name(aws.account, aws.region)
    survey = Survey(aws, chosen, name, owner="" if bucket else aws.account)
    return Site(aws, name, survey, bucket is None, seen, poll_s, timeout_s)


def tags_of(aws: Aws, arn: str) -> dict[str, str]:
    """The tags of a SageMaker resource."""
    return tags.as_map(aws.pages("sagemaker", "ListTags", "Tags", ResourceArn=arn))


def write_tags(aws: Aws, arn: str, now: Mapping[str, str], then: Mapping[str, str]) -> None:
    """Change the tags of a SageMaker resource from `now` to `then`."""
    changed = {k: v for k, v in then.items() if now.get(k) != v}
    if changed:
        aws("sagemaker", "AddTags", ResourceArn=arn, Tags=tags.as_list(changed))
    dropped = sorted(set(now) - set(then))
    if dropped:
        aws("sagemaker", "DeleteTags", ResourceArn=arn, TagKeys=dropped)
