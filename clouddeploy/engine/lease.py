"""A deployment's lock in any store that writes on condition: a lease, renewed while it is held.

The store is a cloud's bucket. What is the same everywhere lives here: who holds it, since and until when,
renewal, withdrawal of a lock that was perhaps written although every answer was lost, and recognising
one's own write whose answer was lost.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from clouddeploy.engine import holder as who
from clouddeploy.engine.holder import RELEASED, Holder
from clouddeploy.engine.lock import LockMoved
from clouddeploy.errors import CloudDeployError, CloudError, DeploymentLocked

LEASE_S = 600.0
ABSENT = "absent"


class Store(Protocol):
    """Where one lock lies: one object, written only if nobody wrote it since it was read."""

    @property
    def name(self) -> str:
        """The deployment's name."""

    @property
    def place(self) -> str:
        """What holds the object, for messages, such as ``bucket 'x'``."""

    def listed(self) -> str:
        """The object's version, from a listing that was made anyway; ``absent`` without one."""

    def prepare(self) -> bool:
        """Make what is to hold the object, if it is missing; False when there is nothing to protect."""

    def read(self) -> tuple[bytes, str] | None:
        """The object's bytes and version, or None when it is missing."""

    def write(self, body: bytes, expected: str) -> str:
        """Write the object if its version is `expected` (``absent``: if there is none).

        Returns:
            The new version.

        Raises:
            LockMoved: its version is another. It may be one's own, after an answer that was lost.
        """

    def delete(self) -> None:
        """Remove the object; a missing one is success."""

    def leave(self, *, only_if_made: bool) -> None:
        """Remove what holds the object if it is ours and empty.

        Args:
            only_if_made: only if `prepare` made it.
        """

    def mark(self, *, held: bool) -> None:
        """Told when the lock is taken, and before it is given back."""


class Lease:
    """A lock in a store (see `clouddeploy.engine.lock.Lock`).

    Args:
        store: where it lies.
        lease_s: seconds after which a lock that isn't renewed no longer counts.
    """

    def __init__(self, store: Store, *, lease_s: float = LEASE_S) -> None:
        self._store = store
        self._lease = timedelta(seconds=lease_s)
        self._held: Holder | None = None
        self._version = ""
        self._over = threading.Event()
        self._renewer: threading.Thread | None = None

    def peek(self) -> str:
        """The lock's version: ``absent``, or the object's.

        Raises:
            DeploymentLocked: somebody holds it.
        """
        listed = self._store.listed()
        if listed != ABSENT:
            self._refuse_held(self._read()[0])
        return listed

    def acquire(self, seen: str) -> None:
        """Take the lock if its version is still `seen`.

        Raises:
            LockMoved: somebody took it or gave it back since.
            DeploymentLocked: somebody holds it.
        """
        try:
            if not self._store.prepare():
                return
            self._take(seen)
        except BaseException as error:
            self._leave_after(error)
            raise
        self._store.mark(held=True)
        self._over.clear()
        self._renewer = threading.Thread(target=self._renew, name="clouddeploy-lock", daemon=True)
        self._renewer.start()

    def release(self, *, forget: bool) -> None:
        """Give it back.

        What goes wrong without `forget` isn't told: the lock then ends with its process or lease.
        """
        if self._held is None:
            return
        self._stop_renewing()
        held, self._held = self._held, None
        who.forget(held.nonce)
        self._store.mark(held=False)
        if forget:
            self._store.delete()
            self._store.leave(only_if_made=False)
            return
        try:
            self._store.write(held.body(RELEASED), self._version)
        except (CloudDeployError, LockMoved):
            # The deploy itself is done; a lock whose process no longer claims it holds nobody up here,
            # and elsewhere only until its lease ends.
            return

    def _leave_after(self, error: BaseException) -> None:
        try:
            self._store.leave(only_if_made=True)
        except CloudDeployError as second:
            error.add_note(f"{self._store.place} was made and could not be removed: {second}")

    def _take(self, seen: str) -> None:
        now = datetime.now(UTC)
        mine = Holder.here(since=now, expires=now + self._lease, nonce=uuid.uuid4().hex)
        try:
            self._version = self._store.write(mine.body(), seen)
        except LockMoved:
            found, self._version = self._read()
            if found is None or found.nonce != mine.nonce:  # else our own write, whose answer was lost
                self._refuse_held(found)
                raise
        except CloudError as error:
            self._withdraw(mine, error, anew=seen == ABSENT)
            raise
        who.remember(mine.nonce)
        self._held = mine

    def _withdraw(self, mine: Holder, error: CloudError, *, anew: bool) -> None:
        """Take back a lock that was perhaps written, although every answer was lost."""
        try:
            found, version = self._read()
            if found is None or found.nonce != mine.nonce:
                return
            if anew:
                self._store.delete()
            else:
                self._store.write(mine.body(RELEASED), version)
        except (CloudDeployError, LockMoved) as second:
            error.add_note(f"the lock may have been taken, and could not be given back: {second}")

    def _read(self) -> tuple[Holder | None, str]:
        found = self._store.read()
        return (None, "") if found is None else (Holder.parse(found[0]), found[1])

    def _refuse_held(self, found: Holder | None) -> None:
        if found is None or not found.holds(datetime.now(UTC)):
            return
        raise DeploymentLocked(
            f"{self._store.name!r} is being deployed by {found.owner} (process {found.pid}) "
            f"since {found.since}",
            why=f"one deploy of a name at a time; this lock ends at {found.expires} unless it is renewed",
            fix="wait until that deploy is done, then run it again",
        )

    def _renew(self) -> None:
        half_s = self._lease.total_seconds() / 2
        pause_s = half_s
        while not self._over.wait(pause_s):
            try:
                if not self._renewed():
                    return  # somebody took it over; giving it back will find that, too
                pause_s = half_s
            except CloudDeployError:
                pause_s = half_s / 10  # the lease has still half its time: try again within it

    def _renewed(self) -> bool:
        held = self._held
        if held is None:
            return False
        expires = (datetime.now(UTC) + self._lease).isoformat(timespec="milliseconds")
        try:
            self._version = self._store.write(replace(held, expires=expires).body(), self._version)
        except LockMoved:
            found, self._version = self._read()
            return (
                found is not None and found.nonce == held.nonce
            )  # if so, our own write: its answer was lost
        return True

    def _stop_renewing(self) -> None:
        self._over.set()
        if self._renewer is not None:
            self._renewer.join(timeout=30)
            self._renewer = None
