"""Refusals that settings ask for: the next calls of a method, and operations that never end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from clouddeploy.emulator.google.errors import ApiError, info
from clouddeploy.emulator.google.settings import GoogleSettings

VERBS = {"insert": "create", "patch": "update"}
"""How permissions call what methods of older APIs call otherwise (IAM permissions reference)."""
PERMISSIONS = {"functions": "cloudfunctions", "resourcemanager": "resourcemanager"}
COLLECTIONS = {
    "Function": "functions",
    "Service": "services",
    "Revision": "revisions",
    "ServiceAccount": "serviceAccounts",
    "Operation": "operations",
    "Secret": "secrets",
    "Repository": "repositories",
    "Bucket": "buckets",
    "Object": "objects",
}


class Refusals:
    """Counts down what the settings say.

    Args:
        settings: as they are now; counting begins anew when they are changed.
    """

    def __init__(self, settings: Callable[[], GoogleSettings]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._seen: GoogleSettings | None = None
        self._left: dict[str, dict[str, int]] = {}
        self._stuck = 0

    def check(self, service: str, method: str, resource: str) -> None:
        """Refuse the call if it is one of those that shall be.

        Raises:
            ApiError: PERMISSION_DENIED, RESOURCE_EXHAUSTED or UNAVAILABLE.
        """
        name = f"{service}.{method}"
        if self._take("denied", name):
            permission = _permission(service, method)
            raise ApiError(
                "PERMISSION_DENIED",
                f"Permission '{permission}' denied on '{resource}'",
                info("IAM_PERMISSION_DENIED", "iam.googleapis.com", permission=permission, resource=resource),
            )
        if self._take("limited", name):
            metric = f"{service}.googleapis.com/requests"
            raise ApiError(
                "RESOURCE_EXHAUSTED",
                f"Quota exceeded for quota metric '{method} requests' and limit 'Requests per minute' of "
                f"service '{service}.googleapis.com' for consumer '{resource.split('/locations/')[0]}'.",
                info("RATE_LIMIT_EXCEEDED", "googleapis.com", quota_metric=metric),
            )
        if self._take("failing", name):
            raise ApiError("UNAVAILABLE", "The service is currently unavailable.")

    def stuck(self) -> bool:
        """Whether the operation that begins now shall never end."""
        with self._lock:
            self._renew()
            if self._stuck <= 0:
                return False
            self._stuck -= 1
            return True

    def _take(self, kind: str, name: str) -> bool:
        with self._lock:
            self._renew()
            left = self._left[kind]
            count = left.get(name, 0)
            if count > 0:
                left[name] = count - 1
            return count != 0

    def _renew(self) -> None:
        settings = self._settings()
        if settings is self._seen:
            return
        self._seen = settings
        kinds: Mapping[str, Mapping[str, int]] = {
            "denied": settings.denied,
            "limited": settings.limited,
            "failing": settings.failing,
        }
        self._left = {kind: dict(counts) for kind, counts in kinds.items()}
        self._stuck = settings.stuck_operations


def _permission(service: str, method: str) -> str:
    verb, noun = "use", method
    for prefix in ("Create", "Get", "List", "Update", "Patch", "Delete", "Insert", "Set", "Generate"):
        if method.startswith(prefix):
            verb, noun = prefix.lower(), method.removeprefix(prefix)
    if noun == "IamPolicy":
        verb, noun = f"{verb}IamPolicy", "Function" if service == "functions" else "Service"
    known = COLLECTIONS.get(noun.removesuffix("s")) or COLLECTIONS.get(noun) or noun.lower()
    return f"{PERMISSIONS.get(service, service)}.{known}.{VERBS.get(verb, verb)}"
