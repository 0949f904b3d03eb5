"""From a wish to the resources that it consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clouddeploy.engine.resource import Resource
from clouddeploy.providers.aws.alarms import MetricAlarm
from clouddeploy.providers.aws.bucket import Bucket
from clouddeploy.providers.aws.logs import LogGroup
from clouddeploy.providers.aws.role import Role, trust_policy
from clouddeploy.providers.aws.tags import make_tags
from clouddeploy.providers.aws_lambda import configuration, http_api, names, url
from clouddeploy.providers.aws_lambda.alias import Alias
from clouddeploy.providers.aws_lambda.api_permission import ApiPermission
from clouddeploy.providers.aws_lambda.concurrency import reserved
from clouddeploy.providers.aws_lambda.failures import FailureDestination
from clouddeploy.providers.aws_lambda.function import Function
from clouddeploy.providers.aws_lambda.http_api import HttpApi
from clouddeploy.providers.aws_lambda.options import Options
from clouddeploy.providers.aws_lambda.permissions import execution_policy
from clouddeploy.providers.aws_lambda.scaling import METRICS, alarm_settings, kept_running, provisioning
from clouddeploy.providers.aws_lambda.site import Site
from clouddeploy.providers.aws_lambda.source import Packagers, Source, source_of
from clouddeploy.providers.aws_lambda.url import FunctionUrl, PublicAccess
from clouddeploy.providers.aws_lambda.version import Version
from clouddeploy.spec import Deployment, digest_of

WATCHES = "function"
"""What our alarms say that they watch; SageMaker's say otherwise."""


@dataclass(frozen=True)
class Compiled:
    """The resources of one wish, by their part."""

    base: tuple[Resource, ...]
    source: Source
    role: Role | None
    version: Version
    alarms: tuple[MetricAlarm, ...]
    serving: tuple[Resource, ...]
    warnings: tuple[str, ...]

    @property
    def resources(self) -> tuple[Resource, ...]:
        """All of them, each after what it needs."""
        return (*self.base, *self.alarms, *self.serving)

    @property
    def keys(self) -> frozenset[str]:
        """Their keys."""
        return frozenset(r.key for r in self.resources)


def compile_deployment(
    site: Site, deployment: Deployment, options: Options, packagers: Packagers
) -> Compiled:
    """What `deployment` consists of. Makes no call to AWS."""
    bucket = Bucket(site.survey, own=site.own_bucket)
    source = source_of(site, deployment, options, packagers, (bucket.key,))
    first = source.last or (bucket.key,)
    tags = make_tags(deployment.tags, deployment.name)
    logs = LogGroup(site.aws, names.log_group(site.name), first, options.retention_days, tags)
    role = None if deployment.access.role else _role(site, deployment, options, first)
    wish = _function(site, deployment, options, source)
    release, digest = names.parts_of(wish["description"])
    needs = (*first, logs.key, *((role.key,) if role else ()))
    function = Function(site, wish, needs, source.images)
    version = Version(site, release, digest, (function.key,))
    alarms = _alarms(site, deployment, first)
    base: tuple[Resource, ...] = (bucket, *source.resources, logs, *((role,) if role else ()))
    serving: tuple[Resource, ...] = (function, version, *_serving(site, deployment, options, version))
    return Compiled(base, source, role, version, alarms, serving, source.warnings)


def _function(site: Site, deployment: Deployment, options: Options, source: Source) -> dict[str, Any]:
    """The function's state. A release is named by the code and all of the configuration."""
    role = deployment.access.role or site.role_arn
    config = configuration.wished(deployment, options, role)
    digest = source.digest
    release = digest_of({"code": source.code, **config})[: names.DIGITS]
    return {
        **config,
        "code": source.code,
        "description": names.description(release, digest),
        "tags": make_tags(deployment.tags, deployment.name, release=release, digest=digest),
        "reserved_concurrency": reserved(deployment, options),
        "alive": True,
    }


def _role(site: Site, deployment: Deployment, options: Options, needs: tuple[str, ...]) -> Role:
    access = deployment.access
    return Role(
        site.aws,
        site.survey,
        site.role,
        deployment.name,
        # Lambda takes roles of the function's own account only, and tells no source to be compared.
        trust_policy("lambda.amazonaws.com"),
        execution_policy(
            site,
            private_network=bool(access.subnets),
            on_failure=options.on_failure,
            kms_key=access.kms_key,
            model_uri=deployment.env.get(configuration.MODEL_URI, ""),
        ),
        make_tags(deployment.tags, deployment.name),
        needs,
    )


def _serving(site: Site, deployment: Deployment, options: Options, version: Version) -> list[Resource]:
    wish = deployment.autoscaling
    alias = Alias(site, version.release, kept_running(wish) > 0, (version.key,))
    found: list[Resource] = [alias, *_addresses(site, deployment, options, alias.key)]
    if options.on_failure:
        found.append(FailureDestination(site, options.on_failure, (alias.key,)))
    tags = make_tags(deployment.tags, deployment.name)
    return [*found, *provisioning(site, wish, tags, (alias.key,))]


def _addresses(site: Site, deployment: Deployment, options: Options, alias: str) -> list[Resource]:
    """What HTTP requests can be sent to."""
    origins = deployment.access.cors_origins
    found: list[Resource] = []
    if options.url != "none":
        found.append(FunctionUrl(site, url.AUTH[options.url], origins, (alias,)))
    if options.url == "public":
        found.append(PublicAccess(site, (found[0].key,)))
    if options.http_api:
        tags = make_tags(deployment.tags, deployment.name)
        api = HttpApi(site, http_api.AUTH[deployment.access.public], origins, tags, (alias,))
        found += [api, ApiPermission(site, (api.key,))]
    return found


def _alarms(site: Site, deployment: Deployment, needs: tuple[str, ...]) -> tuple[MetricAlarm, ...]:
    name = deployment.name
    tags = make_tags(deployment.tags, name)
    return tuple(
        MetricAlarm(
            site.aws,
            site.survey,
            names.alarm(name, a.metric),
            name,
            alarm_settings(name, a),
            tags,
            needs,
            WATCHES,
        )
        for a in deployment.alarms
        if a.metric in METRICS
    )
