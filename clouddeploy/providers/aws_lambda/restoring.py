"""Back to a kept release: nothing is built or copied, the alias moves to that release's version."""

from __future__ import annotations

from clouddeploy.engine.resource import Resource
from clouddeploy.errors import NotFound
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.alias import Alias
from clouddeploy.providers.aws_lambda.releases import Release, find_releases, serving_version
from clouddeploy.providers.aws_lambda.site import Site


def restored(site: Site, release: str | None) -> tuple[Resource, ...]:
    """The alias as it should be; everything else stays as it is.

    Args:
        release: the one wanted; None is the newest before the serving one.

    Raises:
        NotFound: no such release is kept.
    """
    chosen = _chosen(site, release)
    # Copies that are kept running, if any, follow the alias; where there are none, nothing is waited for.
    return (Alias(site, chosen.release, is_provisioned=True),)


def _chosen(site: Site, release: str | None) -> Release:
    serving = serving_version(site)
    found = find_releases(site, serving=serving)
    others = [r for r in found if r.version != serving]
    if release is None:
        before = [r for r in others if serving and int(r.version) < int(serving)]
        chosen = next(iter(before or others), None)
    else:
        wanted = release[: names.DIGITS]
        chosen = next((r for r in found if wanted and r.release.startswith(wanted)), None)
    if chosen is None or not serving:
        kept = ", ".join(r.release for r in found) or "none"
        raise NotFound(
            f"{site.name!r} has no kept release {release or 'before the serving one'}",
            why=f"kept: {kept}",
            fix="deploy that model again, and set keep_releases to keep more",
        )
    return chosen
