"""What the bucket holds of one deployment: one listing, from which much else is known.

The source is made before and removed after everything else of a deployment. So where the bucket is
missing, or holds nothing but the lock under the deployment's prefix, there is nothing of it, and no
other read is needed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.faults import MISSING
from clouddeploy.providers.gcp.ownership import find_own

LOCK_FILE = "lock.json"


@dataclass(frozen=True, slots=True)
class Found:
    """One object: its generation, its size in bytes and its CRC32C in base64."""

    generation: str
    size: int
    crc32c: str = ""


class Survey:
    """The listing of one prefix, made when it is first asked for and then kept.

    Args:
        gcp: the seam.
        bucket: the bucket's name.
        name: the deployment's name.
        prefix: where its objects lie, with the closing slash; empty means ``_functions/<name>/``.
        own: the bucket is clouddeploy's own, so it must be in this project; False for one that the
            user named.

    Attributes:
        made_bucket: the bucket was made since the listing (taking the lock needs it first).
        locked: the lock's object is in the bucket and held by us.
    """

    def __init__(self, gcp: Gcp, bucket: str, name: str, *, prefix: str = "", own: bool = True) -> None:
        self.gcp = gcp
        self.bucket = bucket
        self.name = name
        self.own = own
        self.prefix = prefix or f"_functions/{name}/"
        self._making = threading.Lock()
        self._listing: dict[str, Found] | None = None
        self._made = False
        self._spent = False
        self.made_bucket = False
        self.locked = False

    @property
    def lock_key(self) -> str:
        """Name of the lock's object."""
        return self.prefix + LOCK_FILE

    @property
    def has_bucket(self) -> bool:
        """Whether the bucket existed."""
        return self._look() is not None

    def objects(self) -> dict[str, Found]:
        """The objects under the prefix, by name; empty when there is no bucket."""
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
                there = not self.own or find_own(self.gcp, self.bucket)
                self._listing = listing(self.gcp, self.bucket, self.prefix) if there else None
                self._made = True
            return self._listing


def listing(gcp: Gcp, bucket: str, prefix: str) -> dict[str, Found] | None:
    """The objects under `prefix`, by name; None when there is no such bucket."""
    found: dict[str, Found] = {}
    more: dict[str, str] = {}
    while True:
        page = gcp.find("storage", "ListObjects", MISSING, bucket=bucket, prefix=prefix, **more)
        if page is None:
            return None
        for entry in page.get("items", ()):
            found[entry["name"]] = Found(
                str(entry["generation"]), int(entry["size"]), entry.get("crc32c", "")
            )
        if not page.get("nextPageToken"):
            return found
        more = {"pageToken": page["nextPageToken"]}
