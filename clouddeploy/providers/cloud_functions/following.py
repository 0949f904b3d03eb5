"""What a change of the function means for the traffic: nothing, until it is moved.

Before an update the traffic is pinned to the revisions that get it, by name. A change that makes no new
release, such as another number of copies, makes a new revision all the same, and requests follow it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clouddeploy.providers.cloud_functions.site import Site
from clouddeploy.providers.gcp.labels import RELEASE_VARIABLE
from clouddeploy.providers.gcp.run.revision import release_of as run_release_of
from clouddeploy.providers.gcp.run.revision import short
from clouddeploy.providers.gcp.run.revisions import remove
from clouddeploy.providers.gcp.run.traffic import LATEST, pinned, shares_of, targets

NEWEST = ("latestReadyRevision", "latestCreatedRevision")
"""Fields of a service that name revisions which Cloud Run keeps."""


def follows_newest(site: Site) -> bool:
    """Whether a revision that is made from now on gets requests by itself."""
    service = site.run.service()
    if service is None or not shares_of(service):
        return False
    traffic = [t for t in service.get("traffic") or () if t.get("percent")]
    return not traffic or any(not t.get("revision") for t in traffic)


def pin(site: Site) -> None:
    """Let no revision that is made from now on get requests by itself."""
    if follows_newest(site):
        site.run.change(lambda now: {"traffic": pinned(now)}, mask="traffic")


def unpin(site: Site) -> None:
    """Take back `pin`, where the newest revision gets all requests anyway."""

    def wished(now: Mapping[str, Any]) -> dict[str, Any] | None:
        newest = short(str(now.get("latestReadyRevision", "")))
        if shares_of(now) != {newest: 100}:
            return None
        return {"traffic": [{"type": LATEST, "percent": 100}, *targets({}, now)]}

    if not follows_newest(site):
        site.run.change(wished, mask="traffic")


def release_of(found: Mapping[str, Any]) -> str:
    """The release that the function's newest revision is."""
    variables = (found.get("serviceConfig") or {}).get("environmentVariables") or {}
    return str(variables.get(RELEASE_VARIABLE, ""))


def revision_in(found: Mapping[str, Any]) -> str:
    """Name of the function's newest revision."""
    return short(str((found.get("serviceConfig") or {}).get("revision", "")))


def is_newest(site: Site, found: Mapping[str, Any]) -> bool:
    """Whether the service's newest revision is the one that the function describes.

    After an update that failed while its revision started, it needn't be.
    """
    service = site.run.service()
    return service is None or run_release_of(service.get("template") or {}) == release_of(found)


def is_followed(site: Site, found: Mapping[str, Any]) -> bool:
    """Whether requests for the function's release get to its newest revision, if any get to the release.

    Args:
        found: the function.
    """
    return not _elsewhere(site, found, site.run.service() or {})


def _elsewhere(site: Site, found: Mapping[str, Any], service: Mapping[str, Any]) -> set[str]:
    """Older revisions of the function's release that get requests."""
    shares, newest, release = shares_of(service), revision_in(found), release_of(found)
    if not newest or not release or set(shares) <= {newest}:
        return set()
    same = {r.name for r in site.run.revisions() if r.release == release}
    return (shares.keys() & same) - {newest}


def follow(site: Site) -> dict[str, Any]:
    """Send the requests of older revisions of the function's release to its newest revision.

    Returns:
        The function.
    """
    found = site.find() or {}
    newest = revision_in(found)

    def wished(now: Mapping[str, Any]) -> dict[str, Any] | None:
        older = _elsewhere(site, found, now)
        if not older:
            return None
        shares = shares_of(now)
        moved = sum(shares.pop(name) for name in older)
        shares[newest] = shares.get(newest, 0) + moved
        return {"traffic": targets(shares, now)}

    if not is_followed(site, found):
        site.run.change(wished, mask="traffic")
    return found


def remove_repeated(site: Site, found: Mapping[str, Any], *, others: bool) -> None:
    """Remove the revisions that this run made in vain, as when an answer was lost and it asked again.

    Args:
        found: the function.
        others: a change is being taken back: remove all that this run made, and those of before that are
            the same release as the newest.
    """
    newest, release = revision_in(found), release_of(found)
    before = site.before[0] if site.before else frozenset()
    made = [r for r in site.run.revisions() if r.name not in before and r.name != newest]
    chosen = {r.name for r in made if others or r.release == release}
    if others:
        chosen |= {r.name for r in site.run.revisions() if r.release == release} - {newest}
    for name in removable(site, chosen) if chosen else ():
        remove(site.run, name)


def removable(site: Site, chosen: Collection[str]) -> list[str]:
    """Those of `chosen` revisions that exist, get no requests and aren't the service's newest."""
    service = site.run.service() or {}
    tagged = (short(str(t.get("revision", ""))) for t in service.get("traffic") or ())
    kept = {*shares_of(service), *tagged, *(short(str(service.get(k, ""))) for k in NEWEST)}
    return [r.name for r in site.run.revisions() if r.name in chosen and r.name not in kept]
