"""Back to a kept release: nothing is built, the endpoint takes that release's config again."""

from __future__ import annotations

from clouddeploy.engine.resource import Resource
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.autoscaling import find_target
from clouddeploy.providers.sagemaker.endpoint import Endpoint
from clouddeploy.providers.sagemaker.releases import Release
from clouddeploy.providers.sagemaker.site import Site, tags_of


def restored(site: Site, release: Release) -> tuple[Resource, ...]:
    """The endpoint as it should be; role, alarms and autoscaling stay as they are."""
    seen = site.seen or {}
    carried = tags_of(site.aws, seen["EndpointArn"])
    wanted = {**carried, tags.RELEASE: release.release(site.name), tags.DIGEST: release.digest}
    scaled = find_target(site.aws, site.dimension) is not None
    config = seen.get("LastDeploymentConfig")
    return (Endpoint(site, release.config, wanted, deployment_config=config, scaled=scaled),)
