"""How a service stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.providers.gcp.run.revision import release_of, short
from clouddeploy.providers.gcp.run.site import RunSite, is_reconciling, nothing
from clouddeploy.providers.gcp.run.traffic import releases_of, shares_of
from clouddeploy.spec import Phase, Status


def status_of(site: RunSite) -> Status:
    """How the service stands: a failed change doesn't count while what served before serves."""
    service = site.service()
    if service is None:
        return Status("missing", "")
    condition = service.get("terminalCondition") or {}
    release = serving_release(site)
    phase: Phase = "ready" if service.get("latestReadyRevision") else "failed"
    if is_reconciling(service):
        phase = "updating" if service.get("latestReadyRevision") else "creating"
    if service.get("deleteTime"):
        phase = "deleting"
    failed = condition.get("state") == "CONDITION_FAILED"
    reason = str(condition.get("message", "")) if failed else ""
    return Status(phase, str(condition.get("state", "")), release, reason)


def serving_release(site: RunSite) -> str:
    """The release that gets most of the requests; empty when none of ours does."""
    service = site.service() or {}
    shares = shares_of(service)
    if not shares:
        return ""
    most = max(shares, key=lambda name: shares[name])
    if most == short(str(service.get("latestCreatedRevision", ""))):
        return release_of(service.get("template") or {})
    return next((r.release for r in site.revisions() if r.name == most), "")


def traffic_of(site: RunSite) -> Mapping[str, int]:
    """Percent of the requests by release.

    Raises:
        NotFound: there is no service.
    """
    service: Mapping[str, Any] | None = site.service()
    if service is None:
        raise nothing(site)
    return releases_of(shares_of(service), site.revisions())
