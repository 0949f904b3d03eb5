"""Whose a bucket is. Names are unique in all of Google Cloud, so a computed one may be taken by anybody.

The project's own listing of buckets is what tells it: a label alone could be put on by a stranger, who
would then be handed models, or hand us other code.
"""

from __future__ import annotations

from typing import Final

from clouddeploy.errors import NameConflict
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.labels import BUCKET

BUCKET_LABELS: Final = {BUCKET: "artifacts"}


def find_own(gcp: Gcp, name: str) -> bool:
    """Whether the project has the bucket `name`.

    Raises:
        NameConflict: it has, and the bucket isn't clouddeploy's by its label.
    """
    listed = gcp.pages("storage", "ListBuckets", "items", project=gcp.project, prefix=name)
    found = next((b for b in listed if b["name"] == name), None)
    if found is None:
        return False
    if (found.get("labels") or {}).get(BUCKET) != BUCKET_LABELS[BUCKET]:
        raise NameConflict(
            f"bucket {name!r} exists and isn't clouddeploy's",
            why=f"it has no label {BUCKET}={BUCKET_LABELS[BUCKET]}",
            fix=f"label it: 'gcloud storage buckets update gs://{name} --update-labels={BUCKET}="
            f"{BUCKET_LABELS[BUCKET]}', or give another one with bucket='...'",
        )
    return True


def foreign(name: str) -> NameConflict:
    """The error for a bucket of our name in somebody else's project."""
    return NameConflict(
        f"bucket {name!r} belongs to somebody else",
        why="bucket names are unique in all of Google Cloud, and another project has one of that name",
        fix="give a bucket of your own with bucket='...'",
    )
