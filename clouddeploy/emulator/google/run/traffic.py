"""Which share of a service's requests each revision gets."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from clouddeploy.emulator.google.errors import ApiError, invalid

LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
TAG = re.compile(r"[a-z]([-a-z0-9]{0,44}[a-z0-9])?")
DEFAULT = ({"type": LATEST, "percent": 100},)


def check(traffic: Sequence[Mapping[str, Any]], revisions: Mapping[str, Any]) -> None:
    """Refuse shares that don't add up, or a revision that isn't there.

    Args:
        revisions: those of the service, by short name.

    Raises:
        ApiError: what is wrong.
    """
    total = sum(t.get("percent", 0) for t in traffic)
    if total != 100 or any(not 0 <= t.get("percent", 0) <= 100 for t in traffic):
        raise invalid(f"traffic: The sum of the percentages must be 100, got {total}.", "service.traffic")
    tags = [t["tag"] for t in traffic if t.get("tag")]
    for tag in tags:
        if not TAG.fullmatch(tag) or tags.count(tag) > 1:
            raise invalid(f"traffic: tag {tag!r} is not valid or is given twice.", "service.traffic")
    for target in traffic:
        name = target.get("revision", "").rpartition("/")[2]
        if bool(name) != (target.get("type") == REVISION):
            raise invalid(
                f"traffic: a revision must be given for, and only for, the type {REVISION}.",
                "service.traffic",
            )
        if name and name not in revisions:
            raise ApiError(
                "FAILED_PRECONDITION",
                f"Revision '{name}' does not exist or is deleted. Update all traffic to route to currently "
                "available revisions.",
            )


def statuses(service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``trafficStatuses``: the targets with the revision that ``LATEST`` stands for now."""
    ready = service.get("latestReadyRevision", "").rpartition("/")[2]
    found = []
    for target in service.get("traffic", ()):
        status = {k: target[k] for k in ("type", "percent", "tag") if target.get(k)}
        name = target.get("revision", "").rpartition("/")[2] or ready
        if target.get("tag"):
            status["uri"] = tagged(service["uri"], target["tag"])
        found.append({**status, "revision": name} if name else status)
    return found


def tagged(uri: str, tag: str) -> str:
    """The address of a tag: ``…/<tag>---<service>``."""
    start, slash, name = uri.rpartition("/")
    return f"{start}{slash}{tag}---{name}"


def pick(service: Mapping[str, Any], tag: str = "") -> str | None:
    """The short name of the revision that gets the next request, or None."""
    found = service.get("trafficStatuses", ())
    if tag:
        return next((t.get("revision") for t in found if t.get("tag") == tag), None)
    shares = [(t["revision"], t.get("percent", 0)) for t in found if t.get("revision") and t.get("percent")]
    if len(shares) <= 1:
        return shares[0][0] if shares else None
    return str(random.choices([n for n, _ in shares], [p for _, p in shares])[0])


def used(service: Mapping[str, Any]) -> frozenset[str]:
    """Short names of the revisions that requests or a tag can reach."""
    return frozenset(t["revision"] for t in service.get("trafficStatuses", ()) if t.get("revision"))
