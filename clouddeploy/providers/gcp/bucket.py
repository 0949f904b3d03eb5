"""The artifact bucket: one for a project and region, shared by all deployments there."""

from __future__ import annotations

import hashlib
from typing import Final

from clouddeploy.engine.bucket import BaseBucket
from clouddeploy.errors import CloudDeployError, NotFound
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.faults import EXISTS, MISSING, matches
from clouddeploy.providers.gcp.ownership import BUCKET_LABELS, find_own, foreign
from clouddeploy.providers.gcp.survey import Survey

NAME_LIMIT: Final = 63
"""Characters of a bucket's name (Cloud Storage documentation, "About Cloud Storage buckets")."""
NOT_EMPTY: Final = frozenset({"conflict", "409"})


def bucket_name(project: str, region: str) -> str:
    """The name of the bucket that is made when the user gives none.

    A domain-scoped project's ``:`` and ``.`` are no part of it, and an overlong one ends in a hash.
    """
    plain = project.replace(":", "-").replace(".", "-")
    whole = f"clouddeploy-{plain}-{region}"
    if len(whole) <= NAME_LIMIT:
        return whole
    return f"{whole[: NAME_LIMIT - 9]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def make_bucket(gcp: Gcp, name: str) -> None:
    """Create the bucket; that it is there and ours already is success.

    Raises:
        NameConflict: somebody else's bucket has that name: names are unique in all of Google Cloud.
    """
    wish = {
        "name": name,
        "location": gcp.region,
        "labels": BUCKET_LABELS,
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": True},
            "publicAccessPrevention": "enforced",
        },
        # Content-addressed objects are deleted on purpose only, and then should be gone.
        "softDeletePolicy": {"retentionDurationSeconds": "0"},
    }
    try:
        gcp("storage", "CreateBucket", project=gcp.project, body=wish)
    except CloudDeployError as error:
        if not matches(error, EXISTS):
            raise
        if not find_own(gcp, name):
            raise foreign(name) from error


def remove_bucket(gcp: Gcp, name: str) -> None:
    """Delete the bucket unless something lies in it; one that is gone is success."""
    gcp.find("storage", "DeleteBucket", MISSING | NOT_EMPTY, bucket=name)


def missing_bucket(name: str) -> NotFound:
    """The error for a bucket that the user named and that doesn't exist."""
    return NotFound(
        f"bucket {name!r} doesn't exist",
        why="it was given by name, so it isn't made",
        fix=f"make it with: gcloud storage buckets create gs://{name}",
    )


class Bucket(BaseBucket[Survey]):
    """The bucket as a resource."""

    @property
    def removal(self) -> str:
        """Removes it when it is empty."""
        return f"gcloud storage buckets delete gs://{self.survey.bucket}"

    def exists(self) -> bool:
        """Ask whether it is there."""
        return self.survey.gcp.find("storage", "GetBucket", MISSING, bucket=self.survey.bucket) is not None

    def make(self) -> None:
        """As `make_bucket`."""
        make_bucket(self.survey.gcp, self.survey.bucket)

    def remove(self) -> None:
        """As `remove_bucket`."""
        remove_bucket(self.survey.gcp, self.survey.bucket)

    def missing(self) -> NotFound:
        """As `missing_bucket`."""
        return missing_bucket(self.survey.bucket)
