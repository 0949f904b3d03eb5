"""One Cloud Run service as it was seen, and the one way in which it is changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from clouddeploy.engine.waiting import wait_until
from clouddeploy.errors import CloudError, NotFound
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.faults import MISSING, matches
from clouddeploy.providers.gcp.run.operation import FACTOR, MOST_S, ended
from clouddeploy.providers.gcp.run.revision import Revision, parse_revision

ATTEMPTS = 5
OUTDATED = frozenset({"ABORTED", "ALREADY_EXISTS", "409"})
"""How Cloud Run refuses an update whose ``etag`` is not the service's any more (Cloud Run v2, Service)."""
WAITING = frozenset({"CONDITION_PENDING", "CONDITION_RECONCILING"})


class RunSite:
    """A service and its revisions. What was read is kept until something changes.

    Args:
        gcp: the seam.
        name: the service's id.
        poll_s: seconds between the first two looks at what takes time.
        timeout_s: seconds to wait for it at most.
    """

    def __init__(self, gcp: Gcp, name: str, *, poll_s: float, timeout_s: float) -> None:
        self.gcp, self.name = gcp, name
        self.poll_s, self.timeout_s = poll_s, timeout_s
        self._looking = threading.RLock()
        self._service: tuple[dict[str, Any] | None] | None = None
        self._revisions: list[Revision] | None = None

    @property
    def full_name(self) -> str:
        """``projects/<project>/locations/<region>/services/<name>``."""
        return f"{self.gcp.location}/services/{self.name}"

    def spend(self) -> None:
        """Something is about to change, so what was read no longer counts."""
        with self._looking:
            self._service = self._revisions = None

    def service(self) -> dict[str, Any] | None:
        """The service, or None when there is none."""
        with self._looking:
            if self._service is None:
                self._service = (self.gcp.find("run", "GetService", MISSING, name=self.full_name),)
            return self._service[0]

    def find(self) -> dict[str, Any] | None:
        """The service as it is now, or None."""
        self.spend()
        return self.service()

    def revisions(self) -> list[Revision]:
        """Its revisions, the newest first; none without a service."""
        with self._looking:
            if self._revisions is None:
                self._revisions = self._list() if self.service() else []
            return list(self._revisions)

    def _list(self) -> list[Revision]:
        found = self.gcp.pages("run", "ListRevisions", "revisions", parent=self.full_name)
        return sorted(map(parse_revision, found), key=lambda r: (r.created, r.name), reverse=True)

    def get(self) -> dict[str, Any]:
        """The service as it is now.

        Raises:
            NotFound: there is none.
        """
        found = self.find()
        if found is None:
            raise nothing(self)
        return found

    def change(
        self, wished: Callable[[Mapping[str, Any]], Mapping[str, Any] | None], *, mask: str
    ) -> dict[str, Any]:
        """Change the service and wait until the change is in force; the service afterwards.

        Args:
            wished: from the service as it is to the fields to send; None when it is as wished already,
                as after an answer that was lost.
            mask: names of these fields, comma-separated.

        Raises:
            NotFound: there is no service.
            CloudError: it is refused, or the operation fails.
        """
        for _ in range(ATTEMPTS):
            now = self.get()
            fields = wished(now)
            if fields is None:
                return self.settled()
            sent = {**fields, "name": self.full_name, "etag": now.get("etag", "")}
            try:
                begun = self.gcp("run", "UpdateService", service=sent, updateMask=mask)
            except CloudError as error:
                if not matches(error, OUTDATED) or "different configuration" in error.why:
                    raise
                continue
            finally:
                self.spend()
            return self.ended(begun, f"service {self.name} to be updated")
        raise CloudError(
            f"service {self.name!r} was changed by somebody else {ATTEMPTS} times while this was tried",
            fix="run it again when the others are done",
            code="ABORTED",
            operation="run.UpdateService",
        )

    def ended(self, operation: Mapping[str, Any], what: str) -> dict[str, Any]:
        """The response of an operation on it."""
        return ended(self.gcp, operation, what=what, poll_s=self.poll_s, timeout_s=self.timeout_s)

    def settled(self) -> dict[str, Any]:
        """The service, once no change of it is under way; it may have failed.

        Raises:
            NotFound: there is none.
        """

        def look() -> dict[str, Any] | None:
            now = self.service()
            if now is None:
                raise nothing(self)
            if not is_reconciling(now):
                return now
            self.spend()
            return None

        return wait_until(
            look,
            what=f"service {self.name} to be ready",
            timeout_s=self.timeout_s,
            first_s=self.poll_s,
            factor=FACTOR,
            most_s=max(self.poll_s, MOST_S),
        )


def is_reconciling(found: Mapping[str, Any]) -> bool:
    """Whether a change of a service or revision is under way."""
    state = (found.get("terminalCondition") or {}).get("state")
    return bool(found.get("reconciling")) or state in WAITING


def nothing(site: RunSite) -> NotFound:
    """The error for a service that isn't there."""
    return NotFound(
        f"there is no Cloud Run service {site.name!r} in {site.gcp.region}",
        why=f"looked in project {site.gcp.project}",
        fix="deploy it first",
    )
