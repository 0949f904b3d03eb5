"""Long-running operations: what was begun, how far it is, how it ended (google.longrunning).

Operations of Functions and of Run lie under the same path here, because the host is the same; their
names never meet.
"""

from __future__ import annotations

import copy
import logging
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.emulator.google.errors import ApiError

log = logging.getLogger(__name__)
EMPTY = {"@type": "type.googleapis.com/google.protobuf.Empty"}


@dataclass
class Operation:
    """One operation. `work` reads and writes `metadata` under `lock`."""

    name: str
    metadata: dict[str, Any]
    lock: threading.Condition = field(default_factory=threading.Condition)
    done: bool = False
    error: dict[str, Any] | None = None
    response: dict[str, Any] | None = None

    def describe(self) -> dict[str, Any]:
        """As ``operations.get`` answers."""
        with self.lock:
            found: dict[str, Any] = {"name": self.name, "metadata": copy.deepcopy(self.metadata)}
            if self.done:
                found["done"] = True
                found.update({"error": self.error} if self.error else {"response": self.response})
            return copy.deepcopy(found)

    def end(self, *, response: dict[str, Any] | None = None, error: dict[str, Any] | None = None) -> None:
        """Finish it, one way or the other."""
        with self.lock:
            self.response, self.error, self.done = response, error, True
            self.lock.notify_all()

    def wait(self, timeout_s: float) -> None:
        """Return when it is done, or after `timeout_s`."""
        with self.lock:
            self.lock.wait_for(lambda: self.done, timeout_s)


class Operations:
    """Every operation since the start.

    Args:
        spawn: goes on with some work in a thread.
    """

    def __init__(self, spawn: Callable[..., None]) -> None:
        self._spawn = spawn
        self._all: dict[str, Operation] = {}
        self._held: list[tuple[Operation, Callable[[Operation], dict[str, Any]]]] = []

    def begin(
        self,
        parent: str,
        metadata: dict[str, Any],
        work: Callable[[Operation], dict[str, Any]],
        *,
        stuck: bool = False,
    ) -> Operation:
        """Start `work` in a thread; its result is the operation's response, its `ApiError` the error.

        Args:
            parent: ``projects/…/locations/…``.
            stuck: don't start it before `release`.
        """
        operation = Operation(f"{parent}/operations/{_identity(metadata)}", metadata)
        self._all[operation.name] = operation
        if stuck:
            self._held.append((operation, work))
        else:
            self._spawn(_run, operation, work)
        return operation

    def release(self) -> None:
        """Start what was held back."""
        while self._held:
            self._spawn(_run, *self._held.pop())

    def get(self, name: str, settle_s: float) -> Operation:
        """An operation, once it is done or `settle_s` have passed.

        Raises:
            ApiError: there is none of that name.
        """
        found = self._all.get(name)
        if found is None:
            raise ApiError("NOT_FOUND", f"Resource '{name}' was not found")
        found.wait(settle_s)
        return found

    def of(self, parent: str) -> list[Operation]:
        """All of a project's location, the newest first."""
        return [o for o in reversed(self._all.values()) if o.name.startswith(f"{parent}/operations/")]

    def forget(self, name: str) -> None:
        """Forget one operation."""
        self._all.pop(name, None)

    def clear(self) -> None:
        """Forget everything."""
        self._all.clear()
        self._held.clear()


def _identity(metadata: dict[str, Any]) -> str:
    if str(metadata.get("@type", "")).endswith("functions.v2.OperationMetadata"):
        tail = "-".join(secrets.token_hex(n) for n in (7, 4, 4))
        return f"operation-{time.time_ns() // 1_000_000}-{tail}"
    return str(uuid.uuid4())


def _run(operation: Operation, work: Callable[[Operation], dict[str, Any]]) -> None:
    try:
        operation.end(response=work(operation))
    except ApiError as error:
        operation.end(error=error.rpc())
    except Exception:  # the boundary: whoever polls must be told that it ended
        log.exception("%s failed", operation.name)
        operation.end(error={"code": 13, "message": "an internal error has occurred"})
