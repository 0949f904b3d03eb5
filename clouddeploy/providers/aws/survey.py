"""What the bucket holds of one deployment: one listing, from which much else is known.

The artifact is made before and removed after everything else of a deployment. So where the bucket is
missing, or holds nothing but the lock under the deployment's prefix, there is nothing of it, and no
other read is needed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from clouddeploy.providers.aws.client import Aws

LOCK_FILE = "lock.json"


@dataclass(frozen=True, slots=True)
class Found:
    """One object: its entity tag, as S3 gives it, and its size in bytes."""

    etag: str
    size: int


class Survey:
    """The listing of one prefix, made when it is first asked for and then kept.

    Args:
        aws: the seam.
        bucket: the bucket's name.
        name: the deployment's name.
        prefix: where its objects lie, with the closing slash; empty means ``<name>/``.
        owner: the account that must own the bucket; empty for a bucket that the user named.

    Attributes:
        made_bucket: the bucket was made since the listing (taking the lock needs it first).
        locked: the lock's object is in the bucket and held by us.
    """

    def __init__(self, aws: Aws, bucket: str, name: str, *, prefix: str = "", owner: str = "") -> None:
        self.aws = aws
        self.bucket = bucket
        self.name = name
        self.prefix = prefix or f"{name}/"
        self.owner = {"ExpectedBucketOwner": owner} if owner else {}
        self._making = threading.Lock()
        self._listing: dict[str, Found] | None = None
        self._made = False
        self._spent = False
        self.made_bucket = False
        self.locked = False

    @property
    def lock_key(self) -> str:
        """Key of the lock's object."""
        return self.prefix + LOCK_FILE

    @property
    def has_bucket(self) -> bool:
        """Whether the bucket existed."""
        return self._look() is not None

    def objects(self) -> dict[str, Found]:
        """The objects under the prefix, by key; empty when there is no bucket."""
        return dict(self._look() or {})

    @property
    def untouched(self) -> bool:
        """Nothing lies under the prefix, not even a lock, and nothing was changed since."""
        return not self._spent and not self._look()

    @property
    def fresh(self) -> bool:
        """Nothing of the deployment exists, as far as nothing was changed since: reads can be skipped."""
        return not self._spent and not (set(self._look() or {}) - {self.lock_key})

    def spend(self) -> None:
        """Something is about to change, so nothing more can be told from the listing."""
        self._spent = True

    @property
    def spent(self) -> bool:
        """Whether something may have changed since the listing."""
        return self._spent

    def _look(self) -> dict[str, Found] | None:
        with self._making:
            if not self._made:
                self._listing = self._list()
                self._made = True
            return self._listing

    def _list(self) -> dict[str, Found] | None:
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
