"""The lock that keeps two deploys of one name apart.

A lock is optimistic: a plan is made from what was read without holding it, and `acquire` succeeds
only when nobody held it since the `peek` before those reads. So nothing has to be read twice.
"""

from __future__ import annotations

from typing import Protocol


class LockMoved(Exception):
    """The lock changed hands since `peek`: what was read may be stale, so plan again."""


class Lock(Protocol):
    """One deployment's lock, kept in the cloud."""

    def peek(self) -> str:
        """The lock's version as it stands; changes whenever somebody acquires or releases it.

        Raises:
            DeploymentLocked: somebody holds it, names who and since when. A holder whose lease
                has expired, or whose process is known to be dead on this machine, doesn't count.
        """

    def acquire(self, seen: str) -> None:
        """Take the lock if its version is still `seen`.

        Raises:
            LockMoved: its version is another.
            DeploymentLocked: somebody holds it.
        """

    def release(self, *, forget: bool) -> None:
        """Give the lock back; does nothing when it isn't held.

        Args:
            forget: nothing of the deployment is left, so remove the lock's own traces too.
        """
