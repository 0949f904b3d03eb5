"""Waiting for Cloud Run's long-running operations (google.longrunning; Cloud Run v2, "operations.get")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.engine import events
from clouddeploy.engine.waiting import wait_until
from clouddeploy.errors import CloudError
from clouddeploy.providers.gcp.client import Gcp

CODES = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
}
"""Names of ``google.rpc.Code``, which an operation's error tells by number."""
FACTOR = 1.5
MOST_S = 10.0


def ended(
    gcp: Gcp, operation: Mapping[str, Any], *, what: str, poll_s: float, timeout_s: float, of: str = "run"
) -> dict[str, Any]:
    """The response of `operation`, once it is done.

    Args:
        gcp: the seam.
        operation: as the call that began it answered.
        what: what is waited for, such as ``service digits to be updated``.
        poll_s: seconds between the first two looks.
        timeout_s: seconds to wait at most.
        of: the service whose operation it is.

    Raises:
        CloudError: it failed; `code` is the status' name.
        Timeout: it took too long.
    """
    found: Mapping[str, Any] = operation
    looked = False

    def look() -> Mapping[str, Any] | None:
        nonlocal found, looked
        if looked and not found.get("done"):
            found = _read(gcp, str(operation["name"]), of)
            _tell(found)
        looked = True
        return found if found.get("done") else None

    done = wait_until(
        look, what=what, timeout_s=timeout_s, first_s=poll_s, factor=FACTOR, most_s=max(poll_s, MOST_S)
    )
    if done.get("error"):
        raise failed(done["error"], what)
    return dict(done.get("response") or {})


def _read(gcp: Gcp, name: str, of: str) -> dict[str, Any]:
    if of == "artifactregistry":
        return gcp("artifactregistry", "GetOperation", name=name)
    return gcp("operations", "GetOperation", name=name, of=of)


def _tell(operation: Mapping[str, Any]) -> None:
    """Say how far it is: a Run operation's metadata is the service with its conditions."""
    conditions = (operation.get("metadata") or {}).get("conditions") or ()
    waiting = [c for c in conditions if c.get("state") in ("CONDITION_PENDING", "CONDITION_RECONCILING")]
    if waiting:
        told = waiting[0].get("message")
        events.report(f"{waiting[0].get('type', 'service')}{f': {told}' if told else ''}")


def failed(error: Mapping[str, Any], what: str) -> CloudError:
    """The error for an operation that ended with `error`, a ``google.rpc.Status``."""
    code = CODES.get(int(error.get("code") or 2), str(error.get("code")))
    return CloudError(
        f"Cloud Run gave up while waiting for {what}: {code}",
        why=str(error.get("message") or ""),
        fix="mend what the message names, then run it again",
        code=code,
        operation="operations.GetOperation",
    )
