"""The artifact bucket: one for an account and region, shared by all deployments there."""

from __future__ import annotations

from clouddeploy.engine.bucket import BaseBucket
from clouddeploy.errors import CloudError, NameConflict, NotFound
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.aws.survey import Survey

BUCKET_TAG = {"clouddeploy:bucket": "artifacts"}


def bucket_name(account: str, region: str) -> str:
    """The name of the bucket that is made when the user gives none."""
    return f"clouddeploy-{account}-{region}"


def make_bucket(aws: Aws, name: str) -> None:
    """Create the bucket; that it is there and ours already is success.

    A new bucket blocks public access and encrypts by itself (S3 User Guide, "Default settings for
    new S3 buckets"), so two calls suffice.

    Raises:
        NameConflict: another account owns a bucket of that name.
    """
    # us-east-1 is the one region that must not be named (S3 API reference, CreateBucket).
    where = (
        {} if aws.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    )
    try:
        aws.find("s3", "CreateBucket", {"BucketAlreadyOwnedByYou"}, Bucket=name, **where)
    except CloudError as error:
        if not matches(error, {"BucketAlreadyExists"}):
            raise
        raise NameConflict(
            f"bucket {name!r} belongs to another AWS account",
            why="bucket names are unique in all of AWS",
            fix="give a bucket of your own with bucket='...'",
        ) from error
    aws("s3", "PutBucketTagging", Bucket=name, Tagging={"TagSet": tags.as_list(BUCKET_TAG)})


def remove_bucket(aws: Aws, name: str) -> None:
    """Delete the bucket unless something lies in it; one that is gone is success."""
    aws.find("s3", "DeleteBucket", {"NoSuchBucket", "BucketNotEmpty"}, Bucket=name)


def missing_bucket(name: str) -> NotFound:
    """The error for a bucket that the user named and that doesn't exist."""
    return NotFound(
        f"bucket {name!r} doesn't exist",
        why="it was given by name, so it isn't made",
        fix=f"make it with: aws s3 mb s3://{name}",
    )


class Bucket(BaseBucket[Survey]):
    """The bucket as a resource."""

    @property
    def removal(self) -> str:
        """Removes it when it is empty."""
        return f"aws s3api delete-bucket --bucket {self.survey.bucket}"

    def exists(self) -> bool:
        """Ask whether it is there."""
        missing = {"NoSuchBucket", "NotFound", "404"}
        return self.survey.aws.find("s3", "HeadBucket", missing, Bucket=self.survey.bucket) is not None

    def make(self) -> None:
        """As `make_bucket`."""
        make_bucket(self.survey.aws, self.survey.bucket)

    def remove(self) -> None:
        """As `remove_bucket`."""
        remove_bucket(self.survey.aws, self.survey.bucket)

    def missing(self) -> NotFound:
        """As `missing_bucket`."""
        return missing_bucket(self.survey.bucket)
