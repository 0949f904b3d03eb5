"""The lock file of each deployment: written only by whoever has read its latest version."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from clouddeploy.engine.lease import ABSENT
from clouddeploy.engine.lock import LockMoved
from clouddeploy.errors import CloudError
from clouddeploy.providers.local.places import HIDDEN, Place, alone, write_bytes

NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT)


class Locks:
    """The operations on lock files under `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def answer(self, operation: str, params: Mapping[str, Any]) -> Any:
        """Carry out one of them."""
        path = Place(self._folder / params["name"]).lock
        if operation == "GetLock":
            return _read(path)
        with alone(self._folder):
            if operation == "DeleteLock":
                return _delete(path)
            return _put(path, params["body"], params["expected"])


def _read(path: Path) -> dict[str, Any]:
    try:
        body = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {"body": b"", "version": ABSENT}
    return {"body": body, "version": sha256(body).hexdigest()}


def _put(path: Path, body: bytes, expected: str) -> dict[str, Any]:
    found = _read(path)
    if found["version"] != expected:
        raise CloudError(f"{path} was written meanwhile", why="PreconditionFailed", code="PreconditionFailed")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, body)
    return {"version": sha256(body).hexdigest()}


def _delete(path: Path) -> None:
    """Remove it, and the deployment's folder if nothing else is in it."""
    path.unlink(missing_ok=True)
    if not path.parent.is_dir():
        return
    for left in path.parent.glob(f"{HIDDEN}*"):  # of writers that were killed: nobody else is here now
        left.unlink(missing_ok=True)
    try:
        path.parent.rmdir()
    except OSError as error:
        if error.errno not in NOT_EMPTY:
            raise


class LockFile:
    """Where one deployment's lock lies (see `clouddeploy.engine.lease.Store`).

    Args:
        client: reaches the machine.
        name: the deployment's.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client, self.name = client, name

    @property
    def place(self) -> str:
        """For messages."""
        return f"the folder of {self.name!r}"

    def listed(self) -> str:
        """Its version."""
        return str(self._client("GetLock", name=self.name)["version"])

    def prepare(self) -> bool:
        """There is nothing to make first."""
        return True

    def read(self) -> tuple[bytes, str] | None:
        """Its bytes and version."""
        found = self._client("GetLock", name=self.name)
        return None if found["version"] == ABSENT else (found["body"], found["version"])

    def write(self, body: bytes, expected: str) -> str:
        """Write it, if its version is `expected`."""
        try:
            return str(self._client("PutLock", name=self.name, body=body, expected=expected)["version"])
        except CloudError as error:
            if error.code == "PreconditionFailed":
                raise LockMoved from error
            raise

    def delete(self) -> None:
        """Remove it."""
        with contextlib.suppress(FileNotFoundError):
            self._client("DeleteLock", name=self.name)

    def leave(self, *, only_if_made: bool) -> None:
        """The folder goes with the lock."""

    def mark(self, *, held: bool) -> None:
        """Nobody else has to know."""
