"""A deployment's lock: an object in the bucket, written only if nobody wrote it since it was read.

S3 answers a conditional write with 412 when the condition doesn't hold (S3 User Guide, "How to prevent
object overwrites with conditional writes").
"""

from __future__ import annotations

from typing import Any

from clouddeploy.engine.lease import ABSENT, LEASE_S, Lease
from clouddeploy.engine.lock import LockMoved
from clouddeploy.errors import CloudError
from clouddeploy.providers.aws.bucket import make_bucket, missing_bucket, remove_bucket
from clouddeploy.providers.aws.faults import matches
from clouddeploy.providers.aws.survey import Survey

__all__ = ["ABSENT", "S3Lock"]

MOVED = frozenset({"PreconditionFailed", "412", "NoSuchKey", "ConditionalRequestConflict"})
MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "404"})


class S3Lock(Lease):
    """The lock of one deployment (see `clouddeploy.engine.lock.Lock`).

    Args:
        survey: the deployment's listing, from which `peek` knows whether a lock is there.
        own_bucket: the bucket is ours to make and to remove.
        makes_bucket: taking the lock makes a missing bucket; False for a removal, which has nothing
            to protect when there is no bucket.
        lease_s: seconds after which a lock that isn't renewed no longer counts.
    """

    def __init__(
        self, survey: Survey, *, own_bucket: bool, makes_bucket: bool = True, lease_s: float = LEASE_S
    ) -> None:
        store = S3Store(survey, own_bucket=own_bucket, makes_bucket=makes_bucket)
        super().__init__(store, lease_s=lease_s)


class S3Store:
    """The lock's object (see `clouddeploy.engine.lease.Store`); arguments as for `S3Lock`."""

    def __init__(self, survey: Survey, *, own_bucket: bool, makes_bucket: bool) -> None:
        self._survey, self._aws = survey, survey.aws
        self._own_bucket, self._makes_bucket = own_bucket, makes_bucket

    @property
    def name(self) -> str:
        """The deployment's name."""
        return self._survey.name

    @property
    def place(self) -> str:
        """The bucket."""
        return f"bucket {self._survey.bucket!r}"

    def listed(self) -> str:
        """The object's entity tag."""
        found = self._survey.objects().get(self._survey.lock_key)
        return ABSENT if found is None else found.etag

    def prepare(self) -> bool:
        """Make the bucket, where that is wished."""
        has_bucket = self._survey.has_bucket
        self._survey.spend()
        if has_bucket or not self._makes_bucket:
            return has_bucket
        if not self._own_bucket:
            raise missing_bucket(self._survey.bucket)
        self._survey.made_bucket = True
        make_bucket(self._aws, self._survey.bucket)
        return True

    def read(self) -> tuple[bytes, str] | None:
        """The object and its entity tag."""
        key = self._survey.lock_key
        answer = self._aws.find("s3", "GetObject", MISSING, Bucket=self._survey.bucket, Key=key)
        if answer is None:
            return None
        body: Any = answer["Body"]
        return bytes(body.read()), str(answer["ETag"])

    def write(self, body: bytes, expected: str) -> str:
        """Write it on condition."""
        condition = {"IfNoneMatch": "*"} if expected == ABSENT else {"IfMatch": expected}
        try:
            answer = self._aws(
                "s3",
                "PutObject",
                Bucket=self._survey.bucket,
                Key=self._survey.lock_key,
                Body=body,
                ContentType="application/json",
                **condition,
            )
        except CloudError as error:
            # Another deployment may have been the last in the bucket, and gone with it.
            went = matches(error, {"NoSuchBucket"}) and not self._survey.made_bucket
            if went or matches(error, MOVED):
                raise LockMoved from error
            raise
        return str(answer["ETag"])

    def delete(self) -> None:
        """Remove it."""
        self._aws("s3", "DeleteObject", Bucket=self._survey.bucket, Key=self._survey.lock_key)

    def leave(self, *, only_if_made: bool) -> None:
        """Remove the bucket if it is ours and empty."""
        if self._survey.made_bucket if only_if_made else self._own_bucket:
            remove_bucket(self._aws, self._survey.bucket)

    def mark(self, *, held: bool) -> None:
        """Keep the bucket from being removed while the lock is in it."""
        self._survey.locked = held
