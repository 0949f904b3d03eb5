"""A revision that doesn't become ready, told with its last log lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clouddeploy.errors import DeployFailed
from clouddeploy.providers.gcp.logs import last_lines
from clouddeploy.providers.gcp.run.site import RunSite

_ERROR = re.compile(r"(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*(?:Error|Exception|Exit|Interrupt)(?:: .*)?)\Z")


def not_ready(site: RunSite, revision: str, reason: str) -> DeployFailed:
    """The error for `revision`.

    Args:
        site: its service.
        revision: its name.
        reason: as Cloud Run tells it.
    """
    lines = last_lines(site.gcp, site.name, revision=revision)
    return cannot_serve(f"revision {revision} of service {site.name!r}", reason, lines)


def cannot_serve(what: str, reason: str, lines: Sequence[str]) -> DeployFailed:
    """The error for a revision that was made and doesn't answer.

    Args:
        what: names it.
        reason: as Cloud Run tells it, which is mostly that nothing listens.
        lines: the end of its own log, where the cause stands.
    """
    cause = last_error(lines)
    return DeployFailed(
        f"{what} can't serve{f': {cause}' if cause else ''}",
        why=reason.partition("\n\n")[0] or "Cloud Run gives no reason",  # links to pages follow
        fix="mend what the reason and the log lines name, then deploy again",
        log_tail=tuple(lines),
    )


def last_error(lines: Sequence[str]) -> str:
    """The last line that a Python exception ends with, without its module; empty when there is none."""
    found = (match for line in reversed(lines) if (match := _ERROR.match(line)))
    match = next(found, None)
    return match[1].strip() if match else ""
