"""The lease that keeps two deploys of a name apart, in a store in memory."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import pytest

from clouddeploy.engine.lease import ABSENT, Lease
from clouddeploy.engine.lock import LockMoved
from clouddeploy.errors import CloudError, DeploymentLocked


@dataclass
class Place:
    """What several processes see: one object with a version, in something that may have to be made."""

    body: bytes | None = None
    version: int = 0
    there: bool = False


class Store:
    """A process' view of it.

    Args:
        place: what it sees.
        losing: how many answers to writes get lost, after the write.
    """

    name, place = "digits", "bucket 'b'"

    def __init__(self, place: Place, *, losing: int = 0) -> None:
        self.at, self.losing = place, losing
        self.made = self.held = False

    def listed(self) -> str:
        """Version."""
        return ABSENT if self.at.body is None else str(self.at.version)

    def prepare(self) -> bool:
        """Make the place."""
        self.made, self.at.there = not self.at.there, True
        return True

    def read(self) -> tuple[bytes, str] | None:
        """Bytes and version."""
        return None if self.at.body is None else (self.at.body, str(self.at.version))

    def write(self, body: bytes, expected: str) -> str:
        """Write on condition."""
        if self.listed() != expected:
            raise LockMoved
        self.at.body, self.at.version = body, self.at.version + 1
        if self.losing:
            self.losing -= 1
            raise CloudError("the answer was lost")
        return str(self.at.version)

    def delete(self) -> None:
        """Remove."""
        self.at.body = None

    def leave(self, *, only_if_made: bool) -> None:
        """Remove the place."""
        if (self.made or not only_if_made) and self.at.body is None:
            self.at.there = False

    def mark(self, *, held: bool) -> None:
        """Remember."""
        self.held = held


def state(place: Place) -> str:
    return str(json.loads(place.body or b"{}").get("state"))


def test_it_is_held_by_one_at_a_time_and_leaves_nothing_when_forgotten() -> None:
    place = Place()
    store = Store(place)
    first = Lease(store)
    first.acquire(first.peek())
    assert store.held
    with pytest.raises(DeploymentLocked, match="digits"):
        Lease(Store(place)).peek()
    first.release(forget=True)
    assert (place.body, place.there, store.held) == (None, False, False)


def test_what_was_seen_before_somebody_took_it_and_gave_it_back_is_outdated() -> None:
    place = Place()
    slow, quick = Lease(Store(place)), Lease(Store(place))
    seen = slow.peek()
    quick.acquire(quick.peek())
    quick.release(forget=False)
    with pytest.raises(LockMoved):
        slow.acquire(seen)


@pytest.mark.parametrize("before", [None, "released"])
def test_a_lock_that_was_perhaps_written_is_withdrawn(before: str | None) -> None:
    place = Place()
    if before:
        earlier = Lease(Store(place))
        earlier.acquire(earlier.peek())
        earlier.release(forget=False)
    unlucky = Lease(Store(place, losing=1))
    with pytest.raises(CloudError, match="lost"):
        unlucky.acquire(unlucky.peek())
    assert state(place) == str(before)
    assert place.there == bool(before)


def test_giving_back_what_was_never_taken_does_nothing() -> None:
    place = Place()
    Lease(Store(place)).release(forget=True)
    assert place == Place()


def test_a_renewal_whose_answer_is_lost_is_known_as_ones_own() -> None:
    place = Place()
    store = Store(place)
    lease = Lease(store, lease_s=0.05)
    lease.acquire(lease.peek())
    store.losing = 1
    version, deadline = place.version, time.monotonic() + 5
    while place.version < version + 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert place.version >= version + 3
    lease.release(forget=False)
    assert state(place) == "released"
