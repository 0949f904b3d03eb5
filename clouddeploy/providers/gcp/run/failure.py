"""A revision that doesn't become ready, told with its last log lines."""

from __future__ import annotations

from clouddeploy.errors import DeployFailed
from clouddeploy.providers.gcp.logs import last_lines
from clouddeploy.providers.gcp.run.site import RunSite


def not_ready(site: RunSite, revision: str, reason: str) -> DeployFailed:
    """The error for `revision`.

    Args:
        site: its service.
        revision: its name.
        reason: as Cloud Run tells it.
    """
    return DeployFailed(
        f"revision {revision} of service {site.name!r} can't serve",
        why=reason.partition("\n\n")[0] or "Cloud Run gives no reason",  # links to pages follow
        fix="mend what the reason and the log lines name, then deploy again",
        log_tail=last_lines(site.gcp, site.name, revision=revision),
    )
