"""From a wish to the resources that it consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clouddeploy.engine.resource import Resource
from clouddeploy.providers.aws.alarms import MetricAlarm
from clouddeploy.providers.aws.bucket import Bucket
from clouddeploy.providers.aws.role import Role, trust_policy
from clouddeploy.providers.aws.tags import make_tags
from clouddeploy.providers.sagemaker import names
from clouddeploy.providers.sagemaker.check import is_serverless, machine
from clouddeploy.providers.sagemaker.endpoint import Endpoint
from clouddeploy.providers.sagemaker.endpoint_config import EndpointConfig
from clouddeploy.providers.sagemaker.model import SageMakerModel
from clouddeploy.providers.sagemaker.options import Options
from clouddeploy.providers.sagemaker.permissions import execution_policy
from clouddeploy.providers.sagemaker.scaling import alarm_settings, is_scaled, scaling
from clouddeploy.providers.sagemaker.site import Site
from clouddeploy.providers.sagemaker.source import Packager, Source, source_of
from clouddeploy.spec import Deployment

MAX_CONCURRENCY = 20
"""Requests that a serverless endpoint serves at once when the wish doesn't say."""
NO_GUARDRAILS = ("ml.inf1.",)
"""Machine types without blue/green updates (Developer Guide, "Deployment guardrails", exclusions)."""


@dataclass(frozen=True)
class Compiled:
    """The resources of one wish, by their part."""

    bucket: Bucket
    source: Source
    role: Role | None
    model: SageMakerModel
    config: EndpointConfig
    alarms: tuple[MetricAlarm, ...]
    endpoint: Endpoint
    scaling: tuple[Resource, ...]

    @property
    def resources(self) -> tuple[Resource, ...]:
        """All of them, each after what it needs."""
        roles: tuple[Resource, ...] = (self.role,) if self.role else ()
        middle: tuple[Resource, ...] = (self.model, self.config, *self.alarms, self.endpoint)
        return (self.bucket, *self.source.resources, *roles, *middle, *self.scaling)


def compile_deployment(site: Site, deployment: Deployment, options: Options, packager: Packager) -> Compiled:
    """What `deployment` consists of. Makes no call."""
    bucket = Bucket(site.survey, own=site.own_bucket)
    source = source_of(site, deployment, options, packager, (bucket.key,))
    digest, first = source.digest, (source.last,)
    role = None if deployment.access.role else _role(site, deployment, source, first)
    role_arn = deployment.access.role or site.role_arn
    content = _model_content(deployment, source, role_arn)
    model_name = names.versioned(deployment.name, content)
    variant = _variant(deployment, model_name)
    scaled = is_scaled(deployment)
    kms_key = deployment.access.kms_key
    shape = {k: v for k, v in variant.items() if not (scaled and k == "InitialInstanceCount")}
    config_name = names.versioned(deployment.name, {"variant": shape, "kms_key": kms_key})
    release = names.release_of(deployment.name, config_name)
    tags = make_tags(deployment.tags, deployment.name, release=release, digest=digest)
    model_needs = (*first, *((role.key,) if role else ()))
    model_tags = make_tags(deployment.tags, deployment.name, digest=digest)
    model = SageMakerModel(site, model_name, content, model_tags, model_needs, source.built)
    config = EndpointConfig(site, config_name, variant, kms_key, tags, scaled, (model.key,))
    alarms = _alarms(site, deployment, first)
    endpoint = Endpoint(
        site,
        config_name,
        tags,
        role_arn,
        _deployment_config(deployment, [a.name for a in alarms]),
        scaled,
        (config.key, *(a.key for a in alarms)),
    )
    rules = scaling(site, deployment, endpoint.key)
    return Compiled(bucket, source, role, model, config, alarms, endpoint, rules)


def _role(site: Site, deployment: Deployment, source: Source, needs: tuple[str, ...]) -> Role:
    network = bool(deployment.access.subnets)
    return Role(
        site.aws,
        site.survey,
        site.role,
        deployment.name,
        trust_policy("sagemaker.amazonaws.com", site.aws.account),
        execution_policy(site, source.repositories, private_network=network),
        make_tags(deployment.tags, deployment.name),
        needs,
    )


def _model_content(deployment: Deployment, source: Source, role: str) -> dict[str, Any]:
    access = deployment.access
    network = {"SecurityGroupIds": list(access.security_groups), "Subnets": list(access.subnets)}
    return {
        "image": source.image,
        "data": source.data,
        "env": source.environment(deployment),
        "role": role,
        "network": network if access.subnets and not is_serverless(deployment) else None,
    }


def _variant(deployment: Deployment, model: str) -> dict[str, Any]:
    compute = deployment.compute
    variant: dict[str, Any] = {"VariantName": names.VARIANT, "ModelName": model, "InitialVariantWeight": 1.0}
    if is_serverless(deployment):
        concurrency = compute.max_concurrency or MAX_CONCURRENCY
        return {
            **variant,
            "ServerlessConfig": {"MemorySizeInMB": compute.memory_mb, "MaxConcurrency": concurrency},
        }
    return {
        **variant,
        "InstanceType": machine(deployment),
        "InitialInstanceCount": max(1, deployment.autoscaling.min),
        "ModelDataDownloadTimeoutInSeconds": compute.startup_timeout_s,
        "ContainerStartupHealthCheckTimeoutInSeconds": compute.startup_timeout_s,
    }


def _alarms(site: Site, deployment: Deployment, needs: tuple[str, ...]) -> tuple[MetricAlarm, ...]:
    name = deployment.name
    tags = make_tags(deployment.tags, name)
    return tuple(
        MetricAlarm(
            site.aws, site.survey, names.alarm(name, a.metric), name, alarm_settings(name, a), tags, needs
        )
        for a in deployment.alarms
    )


def _deployment_config(deployment: Deployment, alarms: list[str]) -> dict[str, Any] | None:
    """A blue/green update, all at once; with alarms, the old machines wait until they can have gone off.

    Serverless endpoints take none (Developer Guide, "Deployment guardrails").
    """
    if is_serverless(deployment) or machine(deployment).startswith(NO_GUARDRAILS):
        return None
    bake_s = 60 * (max((a.minutes for a in deployment.alarms), default=-1) + 1)
    config: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": bake_s,
        }
    }
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return config
