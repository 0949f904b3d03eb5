"""From a wish to the resources that it consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from clouddeploy.engine.resource import Resource
from clouddeploy.model import Model
from clouddeploy.providers.aws.alarms import MetricAlarm
from clouddeploy.providers.aws.bucket import Bucket
from clouddeploy.providers.aws.logs import LogGroup
from clouddeploy.providers.aws.role import Role, trust_policy
from clouddeploy.providers.aws.tags import make_tags
from clouddeploy.providers.aws.upload import Written
from clouddeploy.providers.aws_lambda import configuration, names
from clouddeploy.providers.aws_lambda.alias import Alias
from clouddeploy.providers.aws_lambda.check import reserved
from clouddeploy.providers.aws_lambda.code import Code
from clouddeploy.providers.aws_lambda.failures import FailureDestination
from clouddeploy.providers.aws_lambda.function import Function
from clouddeploy.providers.aws_lambda.options import Options
from clouddeploy.providers.aws_lambda.permissions import execution_policy
from clouddeploy.providers.aws_lambda.scaling import METRICS, alarm_settings, kept_running, provisioning
from clouddeploy.providers.aws_lambda.site import Site
from clouddeploy.providers.aws_lambda.url import AUTH, FunctionUrl, PublicAccess
from clouddeploy.providers.aws_lambda.version import Version
from clouddeploy.spec import Deployment, digest_of

WATCHES = "function"
"""What our alarms say that they watch; SageMaker's say otherwise."""


class Package(Written, Protocol):
    """A model packed for Lambda."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the maker should know."""


class Packager(Protocol):
    """Packs a model for a Python version and an architecture."""

    def __call__(self, model: Model, *, python: str, architecture: str) -> Package:
        """The package; nothing is written yet."""


@dataclass(frozen=True)
class Compiled:
    """The resources of one wish, by their part."""

    base: tuple[Resource, ...]
    code: Code | None
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


def compile_deployment(site: Site, deployment: Deployment, options: Options, packager: Packager) -> Compiled:
    """What `deployment` consists of. Makes no call."""
    package = None if options.image else _packed(deployment, options, packager)
    bucket = Bucket(site.survey, own=site.own_bucket)
    code = Code(site, package.digest, package, (bucket.key,)) if package else None
    first = (code.key,) if code else (bucket.key,)
    tags = make_tags(deployment.tags, deployment.name)
    logs = LogGroup(site.aws, names.log_group(site.name), first, options.retention_days, tags)
    role = None if deployment.access.role else _role(site, deployment, options, first)
    wish = _function(site, deployment, options, package)
    release, digest = names.parts_of(wish["description"])
    needs = (*first, logs.key, *((role.key,) if role else ()))
    function = Function(site, wish, needs)
    version = Version(site, release, digest, (function.key,))
    alarms = _alarms(site, deployment, first)
    base: tuple[Resource, ...] = (bucket, *((code,) if code else ()), logs, *((role,) if role else ()))
    serving: tuple[Resource, ...] = (function, version, *_serving(site, deployment, options, version))
    warnings = package.warnings if package else ()
    return Compiled(base, code, role, version, alarms, serving, warnings)


def _packed(deployment: Deployment, options: Options, packager: Packager) -> Package:
    return packager(deployment.model, python=options.python, architecture=deployment.compute.architecture)


def _function(
    site: Site, deployment: Deployment, options: Options, package: Package | None
) -> dict[str, Any]:
    """The function's state. A release is named by the code and all of the configuration."""
    role = deployment.access.role or site.role_arn
    config = configuration.wished(deployment, options, role)
    digest = package.digest[: names.ARTIFACT_DIGITS] if package else ""
    code = options.image or digest
    release = digest_of({"code": code, **config})[: names.DIGITS]
    return {
        **config,
        "code": code,
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
    url = FunctionUrl(site, AUTH[options.url], deployment.access.cors_origins, (alias.key,))
    found: list[Resource] = [alias, url]
    if options.url == "public":
        found.append(PublicAccess(site, (url.key,)))
    if options.on_failure:
        found.append(FailureDestination(site, options.on_failure, (alias.key,)))
    return [*found, *provisioning(site, wish, deployment.tags, alias.key)]


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
