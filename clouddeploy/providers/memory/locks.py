"""The cloud's locks: small records that are written only when they are still what the writer saw."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.errors import CloudError


@dataclass
class Locks:
    """Conditional records by name, each with a version that no write repeats."""

    _records: dict[str, dict[str, Any]] = field(default_factory=dict)
    _writes: int = 0

    def names(self) -> list[str]:
        """Names of the records."""
        return list(self._records)

    def answer(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out ``GetLock``, ``PutLock`` or ``DeleteLock``; tells the record as it then stands.

        Raises:
            CloudError: ``PreconditionFailed``, the version isn't the one that was seen.
        """
        name = params["name"]
        found = self._records.get(name, {"version": ""})
        if operation == "GetLock":
            return dict(found)
        if found["version"] != params["seen"]:
            raise CloudError(f"lock {name} has changed", why="PreconditionFailed", code="PreconditionFailed")
        self._records.pop(name, None)
        if operation == "DeleteLock":
            return {"version": ""}
        self._writes += 1
        self._records[name] = {
            "version": f"{self._writes}",
            "holder": params["holder"],
            "nonce": params["nonce"],
            "since": time.time(),
            "expires": time.time() + params["lease_s"],
        }
        return dict(self._records[name])
