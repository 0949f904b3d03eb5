"""What an object store holds of one deployment: one listing, from which much else is known.

What was packed is made before and removed after everything else of a deployment. So where the bucket is
missing, or holds nothing but the lock under the deployment's prefix, there is nothing of it, and no
other read is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Generic, TypeVar

LOCK_FILE = "lock.json"
EntryT = TypeVar("EntryT")


class BaseSurvey(Generic[EntryT]):
    """The listing of one prefix, made when it is first asked for and then kept.

    A store's own survey says how it is listed.

    Args:
        bucket: the bucket's name.
        name: the deployment's name.
        prefix: where its objects lie, with the closing slash.

    Attributes:
        made_bucket: the bucket was made since the listing (taking the lock needs it first).
        locked: the lock's object is in the bucket and held by us.
    """

    def __init__(self, bucket: str, name: str, prefix: str) -> None:
        self.bucket = bucket
        self.name = name
        self.prefix = prefix
        self._making = threading.Lock()
        self._listing: Mapping[str, EntryT] | None = None
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

    def objects(self) -> dict[str, EntryT]:
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

    def list_objects(self) -> Mapping[str, EntryT] | None:
        """Ask the store, once: the objects under the prefix, by name; None when there is no bucket."""
        raise NotImplementedError

    def _look(self) -> Mapping[str, EntryT] | None:
        with self._making:
            if not self._made:
                self._listing = self.list_objects()
                self._made = True
            return self._listing
