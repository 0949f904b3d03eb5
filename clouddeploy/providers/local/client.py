"""The seam: every operation on this machine's services passes here, and can be watched or broken here."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Any

from clouddeploy.errors import CloudDeployError, CloudError
from clouddeploy.providers.local.machine import Machine

Transport = Callable[[str, str, Mapping[str, Any]], Any]
"""``(service, operation, params)`` to result."""
SERVICE = "local"
FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
FIXES = {
    "PermissionError": "make the state folder writable for yourself, or name another (folder=...)",
    "OSError": "see what the system says above, then run the same command again",
}


class Client:
    """Calls the machine.

    Args:
        machine: carries the operations out.
        transport: what makes the calls; by default the machine itself. May be replaced at any time.
    """

    def __init__(self, machine: Machine, transport: Transport | None = None) -> None:
        self.machine = machine
        self.transport = transport or machine.answer

    def __call__(self, operation: str, **params: Any) -> Any:
        """Make one call.

        Raises:
            CloudError: it was refused, or the transport failed.
        """
        try:
            return self.transport(SERVICE, operation, params)
        except CloudDeployError as error:
            if isinstance(error, CloudError) and not error.operation:
                error.operation = f"{SERVICE}.{operation}"
            raise
        except Exception as error:
            kind = type(error).__name__
            raise CloudError(
                f"{SERVICE}.{operation} failed",
                why=f"{kind}: {error}",
                fix=self._fix(error),
                code=kind,
                operation=f"{SERVICE}.{operation}",
            ) from error

    def _fix(self, error: Exception) -> str:
        if isinstance(error, OSError) and error.errno in FULL:
            return f"free some space for {self.machine.folder}, then run the same command again"
        return FIXES.get(type(error).__name__, "run the same command again")

    def find(self, operation: str, **params: Any) -> Any | None:
        """Make one call; None when what it is about isn't there."""
        try:
            return self(operation, **params)
        except CloudError as error:
            if error.code == "NotFound":
                return None
            raise
