"""Two releases behind one alias, and another number of copies for what runs.

Lambda Developer Guide, "Implement Lambda canary deployments using a weighted alias": an alias points to two
versions at most, with the same execution role. One that has weights takes no new provisioned concurrency
(PutProvisionedConcurrencyConfig refuses it); what was asked for before stays with its main version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clouddeploy.engine.resource import Resource
from clouddeploy.errors import NotFound, NotSupported
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.alias import Alias, named, shares_in
from clouddeploy.providers.aws_lambda.concurrency import refuse_over_account, refuse_over_reserved
from clouddeploy.providers.aws_lambda.function import CODE_TAG
from clouddeploy.providers.aws_lambda.mapping import scaling_findings
from clouddeploy.providers.aws_lambda.releases import Release, find_releases, versions
from clouddeploy.providers.aws_lambda.scaling import is_scaled, kept_running, provisioning
from clouddeploy.providers.aws_lambda.site import Site
from clouddeploy.spec import Autoscaling

AT_ONCE = 2
"""Versions that an alias can point to."""


def shares_of(site: Site) -> dict[str, int]:
    """Percent of the requests by release, of what runs.

    Raises:
        NotFound: nothing runs there.
    """
    serves, others = shares_in(_alias(site))
    known = {r.version: r.release for r in find_releases(site)}
    shares = {serves: 100 - sum(others.values()), **others}
    return {named(known, number): round(percent) for number, percent in shares.items() if round(percent)}


def _alias(site: Site) -> Mapping[str, Any]:
    found = site.find("GetAlias", Name=names.ALIAS) if site.seen is not None else None
    if found is None:
        where = f"on Lambda in {site.aws.region}"
        raise NotFound(f"nothing runs under {site.name!r} {where}", fix="deploy it first")
    return found


def parted(site: Site, shares: Mapping[str, int]) -> tuple[Resource, ...]:
    """The alias with each release's share; the one with the most is its main version."""
    _alias(site)
    kept = find_releases(site)
    found: dict[Release, int] = {}
    for wanted, percent in shares.items():
        release = kept_release(site, kept, wanted)
        found[release] = found.get(release, 0) + percent
    if len(found) > AT_ONCE:
        raise NotSupported(
            f"requests to {site.name!r} are to be shared by {len(found)} releases",
            why=f"an alias of Lambda points to {AT_ONCE} versions at most",
            fix="give two of them shares that add up to 100",
        )
    _refuse_other_role(site, found)
    most = max(found, key=lambda release: found[release])
    others = {r.release: percent for r, percent in found.items() if r is not most}
    return (Alias(site, most.release, is_provisioned=True, shares=others),)


def kept_release(site: Site, kept: list[Release], wanted: str) -> Release:
    """The one of `kept` whose digest starts with `wanted`.

    Raises:
        NotFound: there is none.
    """
    for release in kept:
        if wanted and release.release.startswith(wanted[: names.DIGITS]):
            return release
    raise NotFound(
        f"{site.name!r} has no kept release {wanted}",
        why=f"kept: {', '.join(r.release for r in kept) or 'none'}",
        fix="deploy that model again, and set keep_releases to keep more",
    )


def _refuse_other_role(site: Site, found: Mapping[Release, int]) -> None:
    if len(found) < AT_ONCE:
        return
    numbers = {release.version for release in found}
    roles = {str(v.get("Role", "")) for v in versions(site) if v["Version"] in numbers}
    if len(roles) > 1:
        raise NotSupported(
            f"the releases of {site.name!r} have different roles: {' and '.join(sorted(roles))}",
            why="both versions of an alias must have one execution role (Developer Guide, weighted alias)",
            fix="deploy both with the same access.role, or move all requests at once",
        )


def rescaled(site: Site, autoscaling: Autoscaling) -> tuple[Resource, ...]:
    """Copies kept running, their range, policy and schedules, of what runs."""
    alias = _alias(site)
    seen = site.seen or {}
    for finding in scaling_findings(autoscaling):
        if finding.support == "impossible":
            raise NotSupported(
                f"{finding.field} can't be held on Lambda", why=finding.reason, fix=finding.mend
            )
    refuse_over_reserved(autoscaling, (seen.get("Concurrency") or {}).get("ReservedConcurrentExecutions"))
    if kept_running(autoscaling) or is_scaled(autoscaling):
        _refuse_what_excludes_copies(site, alias, seen["Configuration"])
        refuse_over_account(site.aws, site.name, kept_running(autoscaling))
    left_out = (tags.RELEASE, tags.DIGEST, CODE_TAG)
    carried = {k: v for k, v in (seen.get("Tags") or {}).items() if k not in left_out and ":" not in k[:4]}
    return provisioning(site, autoscaling, carried)


def _refuse_what_excludes_copies(site: Site, alias: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    if shares_in(alias)[1]:
        raise NotSupported(
            f"the requests to {site.name!r} are shared by two releases",
            why="Lambda changes no provisioned concurrency of an alias with weights",
            fix="give one of them all requests first, with split()",
        )
    if (config.get("SnapStart") or {}).get("ApplyOn") == "PublishedVersions":
        raise NotSupported(
            f"{site.name!r} starts from snapshots, and copies are to be kept running",
            why="SnapStart excludes provisioned concurrency (Developer Guide, SnapStart's limitations)",
            fix="deploy it without snap_start",
        )
