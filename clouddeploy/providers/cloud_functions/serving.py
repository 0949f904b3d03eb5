"""How what runs stands, and which deployments there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from clouddeploy.providers.cloud_functions.site import Site, is_ours
from clouddeploy.providers.gcp import labels
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.run import serving
from clouddeploy.providers.gcp.run.site import RunSite
from clouddeploy.spec import Phase, Status, Summary

FIRST: Mapping[str, Phase] = {"DEPLOYING": "creating", "DELETING": "deleting", "ACTIVE": "ready"}
"""While no revision serves."""
SERVING: Mapping[str, Phase] = {"DEPLOYING": "updating", "DELETING": "deleting"}
"""While one does; a failed change doesn't count then."""


def status_of(found: Mapping[str, Any] | None, run: RunSite) -> Status:
    """How a function stands.

    Args:
        found: the function; None when there is none.
        run: the service under it.
    """
    if found is None:
        return Status("missing", "")
    state = str(found.get("state", ""))
    below = serving.status_of(run)
    reason = "; ".join(str(m.get("message", "")) for m in found.get("stateMessages") or ())
    if below.phase != "ready":
        return Status(FIRST.get(state, "failed"), state, below.release, reason or below.reason)
    return replace(below, phase=SERVING.get(state, "ready"), native=state, reason=reason)


def deployments(gcp: Gcp, target: str, poll_s: float) -> Iterator[Summary]:
    """Every function of ours in the region."""
    for found in gcp.pages("functions", "ListFunctions", "functions", parent=gcp.location):
        name = str((found.get("labels") or {}).get(labels.DEPLOYMENT, ""))
        if name and is_ours(found, name) and found["name"].rpartition("/")[2] == name:
            run = RunSite(gcp, name, poll_s=poll_s, timeout_s=0)
            status = status_of(found, run)
            created = str(found.get("createTime") or found.get("updateTime", ""))
            yield Summary(name, target, status.phase, status.release, created)


def described(site: Site, found: Mapping[str, Any]) -> dict[str, Any]:
    """Names and addresses of what runs."""
    service = found.get("serviceConfig") or {}
    return {
        "project": site.gcp.project,
        "region": site.gcp.region,
        "function": site.path,
        "service": service.get("service") or site.run.full_name,
        "revision": service.get("revision", ""),
        "url": service.get("uri", ""),
        "service_account": service.get("serviceAccountEmail", ""),
        "build": (found.get("buildConfig") or {}).get("build", ""),
        "bucket": site.bucket,
    }
