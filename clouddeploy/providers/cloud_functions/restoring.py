"""Another number of copies of what runs: nothing is built, but Cloud Functions makes a new revision."""

from __future__ import annotations

from collections.abc import Mapping

from clouddeploy.engine.resource import Resource, differences
from clouddeploy.errors import NotFound, SpecError
from clouddeploy.providers.cloud_functions import configuration
from clouddeploy.providers.cloud_functions.check import refuse_scaling
from clouddeploy.providers.cloud_functions.following import release_of
from clouddeploy.providers.cloud_functions.function import Function
from clouddeploy.providers.cloud_functions.images import UnusedImages
from clouddeploy.providers.cloud_functions.revisions import Superseded
from clouddeploy.providers.cloud_functions.site import Site
from clouddeploy.providers.gcp.run.serving import traffic_of
from clouddeploy.spec import Autoscaling


def running(site: Site) -> Mapping[str, int]:
    """Percent of the requests by release.

    Raises:
        NotFound: there is no function of ours, or no revision that serves.
        NameConflict: the function isn't ours.
    """
    if site.seen is not None:
        site.refuse_foreign(site.seen)
    shares = traffic_of(site.run) if site.seen is not None and site.run.service() else {}
    if not shares:
        raise NotFound(
            f"nothing runs under {site.name!r} on Cloud Functions in {site.gcp.region}", fix="deploy it first"
        )
    return shares


def rescaled(site: Site, autoscaling: Autoscaling) -> tuple[Function, tuple[Resource, ...]]:
    """The function with other numbers of copies, and what that makes superfluous.

    Raises:
        NotFound: nothing runs.
        SpecError: what serves can't hold that policy.
    """
    _refuse_behind(site, running(site))
    refuse_scaling(autoscaling)
    now = configuration.told(site.seen or {}, site.name)
    now["env"].pop(configuration.ADDED_BY_GOOGLE, None)
    scaling = configuration.scaling(autoscaling)
    if scaling["concurrency"] > 1 and float(now["cpu"]) < 1:
        raise SpecError(
            f"an instance of {site.name!r} has {now['cpu']} CPU, and is to serve {scaling['concurrency']} "
            "requests at once",
            why="concurrency above 1 takes at least 1 CPU (Cloud Functions v2, ServiceConfig)",
            fix="deploy with that policy instead, which gives it a whole CPU",
        )
    env = configuration.threaded(now["env"], scaling["concurrency"], before=now["concurrency"])
    function = Function(site, {**now, **scaling, "env": env, "alive": True, "in_force": True})
    if not differences(function.read() or {}, function.wish):
        return function, ()
    images = UnusedImages(site, now["docker_repository"] or "")
    return function, (Superseded(site, release_of(site.seen or {}), (images.key,)), images)


def _refuse_behind(site: Site, serving: Mapping[str, int]) -> None:
    """After a rollback the function's newest revision isn't what serves, and only that one can be scaled."""
    newest = release_of(site.seen or {})
    if newest not in serving:
        raise SpecError(
            f"{site.name!r} serves {', '.join(serving)}, and only its newest release, {newest}, can be "
            "rescaled",
            why="Cloud Functions changes the newest revision; older ones stay as they were made",
            fix="deploy the model that serves, with that policy",
        )
