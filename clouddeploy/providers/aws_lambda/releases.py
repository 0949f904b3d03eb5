"""The releases of a deployment that exist: published versions of ours."""

from __future__ import annotations

from dataclasses import dataclass

from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.site import MISSING, Site


@dataclass(frozen=True, slots=True)
class Release:
    """One version that Lambda published for us.

    Args:
        version: its number, as the API writes it.
        release: the release that it is.
        digest: of the artifact (32 hex digits); empty for an image.
    """

    version: str
    release: str
    digest: str


def find_releases(site: Site, *, serving: str = "") -> list[Release]:
    """The versions of ours: the serving one first, then newest first.

    Args:
        serving: number of the version that serves.
    """
    found = [
        Release(entry["Version"], release, digest)
        for entry in versions(site)
        for release, digest in [names.parts_of(entry.get("Description", ""))]
        if release
    ]
    found.sort(key=lambda r: int(r.version), reverse=True)
    return sorted(found, key=lambda r: r.version != serving)


def versions(site: Site) -> list[dict[str, str]]:
    """Every published version, as the listing tells it; none without a function."""
    found: list[dict[str, str]] = []
    more: dict[str, str] = {}
    while True:
        page = site.aws.find("lambda", "ListVersionsByFunction", MISSING, FunctionName=site.name, **more)
        found += (page or {}).get("Versions", ())
        if not (page or {}).get("NextMarker"):
            return [entry for entry in found if entry["Version"].isdigit()]
        more = {"Marker": str((page or {})["NextMarker"])}


def serving_version(site: Site) -> str:
    """Number of the version that the alias points to; empty without an alias."""
    found = site.find("GetAlias", Name=names.ALIAS)
    return str(found["FunctionVersion"]) if found else ""
