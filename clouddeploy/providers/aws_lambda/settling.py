"""Waiting until a function, or a version of it, is out of its change.

Lambda Developer Guide, "Lambda function states": ``State`` is Pending while it is made, and
``LastUpdateStatus`` InProgress while it is changed; calls that would change it meanwhile get
ResourceConflictException.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from clouddeploy.engine.waiting import pause, wait_until
from clouddeploy.errors import CloudDeployError, CloudError, DeployFailed, Throttled
from clouddeploy.providers.aws import faults
from clouddeploy.providers.aws.logs import last_lines
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.site import Site

T = TypeVar("T")
LONGEST_POLL_S = 5.0
ATTEMPTS = 5
BUSY = frozenset({"ResourceConflictException"})


def is_settled(found: Mapping[str, Any]) -> bool:
    """Whether a function's configuration says that nothing is under way."""
    return found.get("State") != "Pending" and found.get("LastUpdateStatus") != "InProgress"


def settled(
    site: Site,
    *,
    qualifier: str = "",
    known: Mapping[str, Any] | None = None,
    refuse_failed: bool = True,
) -> Mapping[str, Any]:
    """The configuration once nothing is under way.

    Args:
        qualifier: a version; empty for the function itself.
        known: an answer that tells it already, which saves a look.
        refuse_failed: whether one that failed is an error.

    Raises:
        DeployFailed: the change failed; says why, with the last log lines.
    """
    more = {"Qualifier": qualifier} if qualifier else {}

    def look() -> Mapping[str, Any] | None:
        found = site.call("GetFunctionConfiguration", **more)
        return found if is_settled(found) else None

    what = f"function {site.name}{f' version {qualifier}' if qualifier else ''} to be ready"
    found = known if known and is_settled(known) else wait(site, look, what)
    failed = found.get("State") == "Failed" or found.get("LastUpdateStatus") == "Failed"
    if failed and refuse_failed:
        reason = found.get("LastUpdateStatusReason") or found.get("StateReason")
        raise DeployFailed(
            f"function {site.name!r}{f' version {qualifier}' if qualifier else ''} failed",
            why=str(reason or "Lambda gives no reason"),
            fix="mend what the reason and the log lines name, then deploy again",
            log_tail=last_lines(site.aws, names.log_group(site.name)),
        )
    return found


def when_free(site: Site, call: Callable[[], T]) -> T:
    """Make `call`, again when the function is under change just now."""

    def attempt() -> tuple[T] | None:
        try:
            return (call(),)
        except CloudError as error:
            if not is_busy(error):
                raise
            return None

    return wait(site, attempt, f"function {site.name} to be out of its change")[0]


def made_once(site: Site, make: Callable[[], T], look: Callable[[], T | None]) -> T:
    """Make what has no name of its own, so that a call repeated after a lost answer would make two.

    Args:
        make: makes it, in one attempt.
        look: finds it, should the answer have been lost.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return make()
        except CloudDeployError as error:
            if not _is_passing(error) or attempt == ATTEMPTS:
                raise
        found = look()
        if found is not None:
            return found
        pause(min(site.poll_s, 1.0) * attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")


def is_busy(error: CloudError) -> bool:
    """Whether AWS refused because a change is under way."""
    return faults.matches(error, BUSY) and "in progress" in error.why.lower()


def wait(site: Site, look: Callable[[], T | None], what: str) -> T:
    """`look` until it finds something; one look that fails in passing is no reason to give up."""

    def patient() -> T | None:
        try:
            return look()
        except CloudDeployError as error:
            if _is_passing(error):
                return None
            raise

    first_s = max(min(site.poll_s, 1.0), 0.02)
    return wait_until(
        patient, what=what, timeout_s=site.timeout_s, first_s=first_s, most_s=max(first_s, LONGEST_POLL_S)
    )


def _is_passing(error: CloudDeployError) -> bool:
    cause = error.__cause__
    return isinstance(error, Throttled) or (cause is not None and faults.is_passing(cause))
