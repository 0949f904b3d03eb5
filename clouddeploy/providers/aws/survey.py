"""What the S3 bucket holds of one deployment."""

from __future__ import annotations

from dataclasses import dataclass

from clouddeploy.engine.survey import BaseSurvey
from clouddeploy.providers.aws.client import Aws


@dataclass(frozen=True, slots=True)
class Found:
    """One object: its entity tag, as S3 gives it, and its size in bytes."""

    etag: str
    size: int


class Survey(BaseSurvey[Found]):
    """The listing of one prefix, made when it is first asked for and then kept.

    Args:
        aws: the seam.
        bucket: the bucket's name.
        name: the deployment's name.
        prefix: where its objects lie, with the closing slash; empty means ``<name>/``.
        owner: the account that must own the bucket; empty for a bucket that the user named.
    """

    def __init__(self, aws: Aws, bucket: str, name: str, *, prefix: str = "", owner: str = "") -> None:
        super().__init__(bucket, name, prefix or f"{name}/")
        self.aws = aws
        self.owner = {"ExpectedBucketOwner": owner} if owner else {}

    def list_objects(self) -> dict[str, Found] | None:
        """All pages of ListObjectsV2."""
        found: dict[str, Found] = {}
        more: dict[str, str] = {}
        while True:
            page = self.aws.find(
                "s3",
                "ListObjectsV2",
                {"NoSuchBucket"},
                Bucket=self.bucket,
                Prefix=self.prefix,
                **self.owner,
                **more,
            )
            if page is None:
                return None
            found.update({o["Key"]: Found(o["ETag"], o["Size"]) for o in page.get("Contents", ())})
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}
