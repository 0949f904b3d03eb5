"""Back to a kept release, or several at once: nothing is built, the traffic moves."""

from __future__ import annotations

from collections.abc import Mapping

from clouddeploy.errors import NotFound
from clouddeploy.providers.gcp.run.revisions import kept
from clouddeploy.providers.gcp.run.serving import serving_release
from clouddeploy.providers.gcp.run.site import RunSite, nothing
from clouddeploy.providers.gcp.run.traffic import Traffic

DIGITS = 10
"""Hex digits of a release."""


def restored(site: RunSite, release: str | None) -> Traffic:
    """All the requests to a kept release; None is the newest before the serving one.

    Raises:
        NotFound: no such release is kept, or there is no service.
    """
    if site.service() is None:
        raise nothing(site)
    if release is not None:
        return Traffic(site, {chosen(site, release): 100})
    serving = serving_release(site)
    found = kept(site)
    at = next((r.created for r in found if r.release == serving), "")
    others = [r for r in found if r.release != serving]
    before = [r for r in others if r.created <= at]
    if not others:
        raise unknown(site, "before the serving one")
    return Traffic(site, {max(before or others, key=lambda r: r.created).release: 100})


def split(site: RunSite, shares: Mapping[str, int]) -> Traffic:
    """Each kept release with its percent.

    Raises:
        NotFound: one of them isn't kept, or there is no service.
    """
    if site.service() is None:
        raise nothing(site)
    found: dict[str, int] = {}
    for release, percent in shares.items():
        name = chosen(site, release)
        found[name] = found.get(name, 0) + percent
    return Traffic(site, found)


def chosen(site: RunSite, release: str) -> str:
    """The kept release that `release`, a digest or its start, names.

    Raises:
        NotFound: none does, or several do.
    """
    wanted = release[:DIGITS]
    found = [r.release for r in kept(site) if wanted and r.release.startswith(wanted)]
    if len(found) != 1:
        raise unknown(site, release)
    return found[0]


def unknown(site: RunSite, release: str) -> NotFound:
    """The error for a release that isn't kept."""
    names = ", ".join(r.release for r in kept(site)) or "none"
    return NotFound(
        f"{site.name!r} has no kept release {release}",
        why=f"kept: {names}",
        fix="deploy that model again, and set keep_releases to keep more",
    )
