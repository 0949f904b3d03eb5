"""A deployment's lock in the in-memory cloud (see `clouddeploy.engine.lock.Lock`)."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from clouddeploy.engine.lock import LockMoved
from clouddeploy.errors import CloudDeployError, CloudError, DeploymentLocked
from clouddeploy.providers.memory.client import Client

LEASE_S = 5 * 3600.0
"""Longer than any deploy may take, undo included."""

_held: set[str] = set()
"""Nonces that this process holds: it knows of its own that they are over, even if giving one back failed."""
_log = logging.getLogger(__name__)


class MemoryLock:
    """The lock of one deployment.

    Args:
        client: reaches the cloud.
        name: the deployment's name.
        holder: who takes it, for people.
        lease_s: seconds after which it no longer counts.
    """

    def __init__(self, client: Client, name: str, *, holder: str = "", lease_s: float = LEASE_S) -> None:
        self._client, self._name, self._lease_s = client, name, lease_s
        self._holder = holder or f"process {os.getpid()}"
        self._nonce = ""
        self._version = ""

    def peek(self) -> str:
        """The lock's version as it stands; see the protocol."""
        found = self._client("GetLock", name=self._name)
        self._refuse_held(found)
        return str(found["version"])

    def acquire(self, seen: str) -> None:
        """Take it if its version is still `seen`; see the protocol."""
        nonce = uuid.uuid4().hex
        try:
            found = self._put(seen, nonce)
        except CloudError as error:
            # The write may have landed and only its answer been lost.
            found = self._client("GetLock", name=self._name)
            if found.get("nonce") != nonce:
                self._refuse_held(found)
                if error.code == "PreconditionFailed":
                    raise LockMoved from error
                raise
        self._nonce, self._version = nonce, str(found["version"])
        _held.add(nonce)

    def release(self, *, forget: bool) -> None:
        """Give it back; see the protocol.

        Without `forget` a failure is only logged: the deploy itself is done, and the lease ends anyway.
        """
        if not self._nonce:
            return
        nonce, self._nonce = self._nonce, ""
        _held.discard(nonce)
        if forget:
            self._client("DeleteLock", name=self._name, seen=self._version)
            return
        try:
            self._put(self._version, "", lease_s=0.0)
        except CloudDeployError as error:
            _log.warning("the lock of %s could not be given back, its lease ends it: %s", self._name, error)

    def _put(self, seen: str, nonce: str, lease_s: float | None = None) -> Any:
        return self._client(
            "PutLock",
            name=self._name,
            seen=seen,
            nonce=nonce,
            holder=self._holder,
            lease_s=self._lease_s if lease_s is None else lease_s,
        )

    def _refuse_held(self, found: Mapping[str, Any]) -> None:
        nonce = found.get("nonce", "")
        if not nonce or nonce not in _held or time.time() >= found["expires"]:
            return
        since = datetime.fromtimestamp(found["since"], UTC).isoformat(timespec="seconds")
        raise DeploymentLocked(
            f"{self._name!r} is being deployed by {found['holder']} since {since}",
            why="one deploy of a name at a time",
            fix="wait until that deploy is done, then run it again",
        )
