"""A deployment's lock: an object in the bucket, written only if nobody wrote it since it was read.

Cloud Storage answers a write with 412 when the object's generation isn't the one that is asked for; 0
asks for there being none (Cloud Storage documentation, "Request preconditions").
"""

from __future__ import annotations

from clouddeploy.engine.lease import ABSENT, LEASE_S, Lease
from clouddeploy.engine.lock import LockMoved
from clouddeploy.errors import CloudError, NameConflict
from clouddeploy.providers.gcp.bucket import make_bucket, missing_bucket, remove_bucket
from clouddeploy.providers.gcp.faults import MISSING, MOVED, matches
from clouddeploy.providers.gcp.survey import Survey

__all__ = ["ABSENT", "GcsLock"]


class GcsLock(Lease):
    """The lock of one deployment (see `clouddeploy.engine.lock.Lock`).

    Args:
        survey: the deployment's listing, from which `peek` knows whether a lock is there; its ``own``
            tells whether the bucket is ours to make and to remove.
        makes_bucket: taking the lock makes a missing bucket; False for a removal, which has nothing
            to protect when there is no bucket.
        lease_s: seconds after which a lock that isn't renewed no longer counts.
    """

    def __init__(self, survey: Survey, *, makes_bucket: bool = True, lease_s: float = LEASE_S) -> None:
        super().__init__(GcsStore(survey, makes_bucket=makes_bucket), lease_s=lease_s)


class GcsStore:
    """The lock's object (see `clouddeploy.engine.lease.Store`); arguments as for `GcsLock`."""

    def __init__(self, survey: Survey, *, makes_bucket: bool) -> None:
        self._survey, self._gcp = survey, survey.gcp
        self._makes_bucket = makes_bucket

    @property
    def name(self) -> str:
        """The deployment's name."""
        return self._survey.name

    @property
    def place(self) -> str:
        """The bucket."""
        return f"bucket {self._survey.bucket!r}"

    def listed(self) -> str:
        """The object's generation."""
        found = self._survey.objects().get(self._survey.lock_key)
        return ABSENT if found is None else found.generation

    def prepare(self) -> bool:
        """Make the bucket, where that is wished."""
        has_bucket = self._survey.has_bucket
        self._survey.spend()
        if has_bucket or not self._makes_bucket:
            return has_bucket
        if not self._survey.own:
            raise missing_bucket(self._survey.bucket)
        self._survey.made_bucket = True
        try:
            make_bucket(self._gcp, self._survey.bucket)
        except NameConflict:
            self._survey.made_bucket = False  # it is somebody else's, so it isn't to be removed either
            raise
        return True

    def read(self) -> tuple[bytes, str] | None:
        """The object and its generation."""
        key = self._survey.lock_key
        answer = self._gcp.find("storage", "DownloadObject", MISSING, bucket=self._survey.bucket, object=key)
        return None if answer is None else (answer["body"], str(answer["generation"]))

    def write(self, body: bytes, expected: str) -> str:
        """Write it on condition."""
        try:
            answer = self._gcp(
                "storage",
                "InsertObject",
                bucket=self._survey.bucket,
                name=self._survey.lock_key,
                body=body,
                contentType="application/json",
                ifGenerationMatch="0" if expected == ABSENT else expected,
            )
        except CloudError as error:
            # Another deployment may have been the last in the bucket, and gone with it.
            went = matches(error, MISSING) and not self._survey.made_bucket
            if went or matches(error, MOVED):
                raise LockMoved from error
            raise
        return str(answer["generation"])

    def delete(self) -> None:
        """Remove it."""
        self._gcp.find(
            "storage", "DeleteObject", MISSING, bucket=self._survey.bucket, object=self._survey.lock_key
        )

    def leave(self, *, only_if_made: bool) -> None:
        """Remove the bucket if it is ours and empty."""
        if self._survey.made_bucket if only_if_made else self._survey.own:
            remove_bucket(self._gcp, self._survey.bucket)

    def mark(self, *, held: bool) -> None:
        """Keep the bucket from being removed while the lock is in it."""
        self._survey.locked = held
