"""The seam: every call to the in-memory cloud passes here, and can be watched or broken here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clouddeploy.errors import CloudDeployError, CloudError
from clouddeploy.providers.memory.cloud import MemoryCloud

Transport = Callable[[str, str, Mapping[str, Any]], Any]
"""``(service, operation, params)`` to result."""
SERVICE = "memory"


class Client:
    """Calls a cloud.

    Args:
        cloud: the cloud.
        transport: what makes the calls; by default the cloud itself. May be replaced at any time.
    """

    def __init__(self, cloud: MemoryCloud, transport: Transport | None = None) -> None:
        self.cloud = cloud
        self.transport = transport or cloud.answer

    def __call__(self, operation: str, **params: Any) -> Any:
        """Make one call.

        Raises:
            CloudError: the cloud refused it, or the transport failed.
        """
        try:
            return self.transport(SERVICE, operation, params)
        except CloudDeployError as error:
            if isinstance(error, CloudError) and not error.operation:
                error.operation = f"{SERVICE}.{operation}"
            raise
        except Exception as error:
            raise CloudError(
                f"{SERVICE}.{operation} failed",
                why=f"{type(error).__name__}: {error}",
                fix="run the same command again",
                code=type(error).__name__,
                operation=f"{SERVICE}.{operation}",
            ) from error

    def find(self, operation: str, **params: Any) -> Any | None:
        """Make one call; None when what it is about isn't there."""
        try:
            return self(operation, **params)
        except CloudError as error:
            if error.code == "NotFound":
                return None
            raise
