"""Several releases behind one endpoint: a variant each, with the share of the requests as its weight.

The release with the most requests keeps the variant that autoscaling and alarms are about; the others run
beside it on as many machines as they were released with. Serverless endpoints take one variant only
(SageMaker AI Developer Guide, "Serverless Inference", feature exclusions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clouddeploy.engine.resource import Resource
from clouddeploy.errors import NotFound, NotSupported
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.autoscaling import find_target
from clouddeploy.providers.sagemaker import names
from clouddeploy.providers.sagemaker.endpoint import Endpoint
from clouddeploy.providers.sagemaker.endpoint_config import EndpointConfig, find_config, variant_of
from clouddeploy.providers.sagemaker.releases import Release, find_releases, find_splits
from clouddeploy.providers.sagemaker.scaling import moves, rules
from clouddeploy.providers.sagemaker.site import Site, tags_of
from clouddeploy.spec import Autoscaling


def shares_of(site: Site) -> dict[str, int]:
    """Percent of the requests by release, of what runs.

    Raises:
        NotFound: nothing runs there.
    """
    seen = running(site)
    weights: dict[str, float] = {}
    for variant in seen.get("ProductionVariants") or ():
        name = str(variant["VariantName"])
        other = name.startswith(names.OTHER)
        release = (
            name.removeprefix(names.OTHER)
            if other
            else names.release_of(site.name, seen["EndpointConfigName"])
        )
        weights[release] = float(variant.get("CurrentWeight", 1))
    total = sum(weights.values()) or 1
    return {release: round(100 * weight / total) for release, weight in weights.items()}


def running(site: Site) -> Mapping[str, Any]:
    """What DescribeEndpoint told of what runs.

    Raises:
        NotFound: nothing does.
    """
    if site.seen is None:
        where = f"on SageMaker in {site.aws.region}"
        raise NotFound(f"nothing runs under {site.name!r} {where}", fix="deploy it first")
    return site.seen


def kept_release(site: Site, wanted: str) -> Release:
    """The kept release whose digest starts with `wanted`.

    Raises:
        NotFound: there is none.
    """
    found = find_releases(site)
    for release in found:
        if wanted and release.release(site.name).startswith(wanted[: names.DIGITS]):
            return release
    raise NotFound(
        f"{site.name!r} has no kept release {wanted}",
        why=f"kept: {', '.join(r.release(site.name) for r in found) or 'none'}",
        fix="deploy that model again, and set keep_releases to keep more",
    )


def parted(site: Site, shares: Mapping[str, int]) -> tuple[Resource, ...]:
    """The endpoint config with a variant for each release, and the endpoint on it."""
    seen = running(site)
    found = {kept_release(site, release): percent for release, percent in shares.items()}
    most = max(found, key=lambda release: found[release])
    carried = tags_of(site.aws, seen["EndpointArn"])
    wanted = {**carried, tags.RELEASE: most.release(site.name), tags.DIGEST: most.digest}
    scaled = find_target(site.aws, site.dimension) is not None
    if len(found) == 1:
        config = seen.get("LastDeploymentConfig")
        return (Endpoint(site, most.config, wanted, deployment_config=config, scaled=scaled),)
    variants, kms_key = [], None
    for release in sorted(found, key=lambda release: release is not most):
        answer = find_config(site, release.config) or {}
        name = names.VARIANT if release is most else f"{names.OTHER}{release.release(site.name)}"
        weight = float(found[release])
        variants.append({**variant_of(answer), "VariantName": name, "InitialVariantWeight": weight})
        kms_key = kms_key or answer.get("KmsKeyId") or None
    if any(variant.get("ServerlessConfig") for variant in variants):
        raise NotSupported(
            f"{site.name!r} is serverless, and its requests can't be split between releases",
            why="a serverless endpoint takes one variant (Developer Guide, feature exclusions)",
            fix="name an instance in its compute, or move all requests at once",
        )
    name = names.split(site.name, most.release(site.name), {"variants": variants, "kms_key": kms_key})
    config = EndpointConfig(site, name, variants[0], kms_key, wanted, more=tuple(variants[1:]))
    return (config, Endpoint(site, name, wanted, scaled=scaled, needs=(config.key,)))


def old_splits(site: Site, *, besides: str = "", needs: Sequence[Resource] = ()) -> list[EndpointConfig]:
    """Endpoint configs that shared requests and no longer should."""
    keys = tuple(resource.key for resource in needs)
    return [
        EndpointConfig(site, name, {}, None, {}, needs=keys) for name in find_splits(site, besides=besides)
    ]


def rescaled(site: Site, autoscaling: Autoscaling) -> tuple[Resource, ...]:
    """The scalable target, policy and schedules of what runs."""
    seen = running(site)
    answer = find_config(site, names.main_of(seen["EndpointConfigName"])) or {}
    variant = variant_of(answer)
    if variant.get("ServerlessConfig"):
        raise NotSupported(
            f"{site.name!r} is serverless and scales by itself",
            why="its only limit, compute.max_concurrency, is part of the release",
            fix="deploy it with another compute.max_concurrency",
        )
    if not moves(autoscaling):
        raise NotSupported(
            f"{site.name!r} should have {autoscaling.min} copies, no more and no fewer",
            why="on SageMaker a fixed number is part of the endpoint config, so of the release",
            fix="give max a larger value than min, or deploy it with that number",
        )
    carried = tags_of(site.aws, seen["EndpointArn"])
    kept = {k: v for k, v in carried.items() if k not in (tags.RELEASE, tags.DIGEST)}
    return rules(site, autoscaling, str(variant["InstanceType"]), kept)
