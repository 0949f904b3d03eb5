"""What is there of a deployment and should not be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from clouddeploy.engine.resource import Resource
from clouddeploy.providers.aws import tags
from clouddeploy.providers.aws.alarms import MetricAlarm, describe
from clouddeploy.providers.aws.autoscaling import (
    ScalableTarget,
    ScalingPolicy,
    ScheduledAction,
    find_actions,
    find_policies,
    find_target,
)
from clouddeploy.providers.aws.image_record import records
from clouddeploy.providers.aws.images import Reach
from clouddeploy.providers.aws.logs import LogGroup
from clouddeploy.providers.aws.multipart import unfinished
from clouddeploy.providers.aws.role import MISSING, Role
from clouddeploy.providers.aws.stale_images import Remains, stale_images
from clouddeploy.providers.sagemaker import names
from clouddeploy.providers.sagemaker.compiler import Compiled
from clouddeploy.providers.sagemaker.endpoint import Endpoint
from clouddeploy.providers.sagemaker.endpoint_config import EndpointConfig
from clouddeploy.providers.sagemaker.model import SageMakerModel
from clouddeploy.providers.sagemaker.model_data import ModelData
from clouddeploy.providers.sagemaker.releases import find_models, find_releases, model_of
from clouddeploy.providers.sagemaker.site import Site, tags_of
from clouddeploy.providers.sagemaker.splitting import old_splits


def left_over(site: Site, compiled: Compiled, reach: Reach, *, keep: int) -> Sequence[Resource]:
    """What remains of other releases than `compiled` and the `keep` ones before it, and of killed deploys."""
    digest = compiled.source.digest
    if site.survey.fresh:
        return [] if site.survey.untouched else _data(site, {digest})
    serving = str((site.seen or {}).get("EndpointConfigName", ""))
    others = find_releases(site, serving=serving, besides=compiled.config.name)
    kept, old = others[:keep], others[keep:]
    used = {compiled.model.name} | {model_of(site, r.config) for r in kept}
    digests = {digest} | {r.digest for r in kept}
    built = compiled.source.built
    images = _images(site, reach, digests, into=built.images.repository if built else None)
    data: list[Resource] = [*_data(site, digests), *images.records]
    role = _role(site, data) if compiled.role is None else []
    base: list[Resource] = [*data, *images.others, *role]
    models = _models(site, used, base)
    configs = [*(_config(site, r.config, models) for r in old), *old_splits(site, needs=models)]
    alarms = _alarms(site, {a.name for a in compiled.alarms}, data)
    return [*base, *models, *configs, *alarms, *scaling_of(site, ())]


def _images(site: Site, reach: Reach, wanted: Collection[str] = (), *, into: str | None = None) -> Remains:
    return stale_images(site.survey, reach, own=names.repository(site.name), wanted=wanted, into=into)


def everything(site: Site, reach: Reach) -> Sequence[Resource]:
    """All that belongs to the deployment, whatever the listing of the bucket says."""
    if not site.survey.untouched:
        site = replace(site, seen=Endpoint(site, "", {}).describe())  # looked at after the lock was
    endpoint = _endpoint(site)
    foreign = site.seen is not None and endpoint is None
    images = _images(site, reach)
    data: list[Resource] = [*_data(site, ()), *images.records]
    role = _role(site, data)
    base: list[Resource] = [*data, *images.others, *role]
    models = _models(site, (), base)
    configs = [_config(site, r.config, models) for r in find_releases(site)]
    configs += old_splits(site, needs=models)
    alarms = _alarms(site, (), data)
    found: list[Resource] = [*base, *models, *configs, *alarms]
    if endpoint:
        needs = (*(c.key for c in configs), *(a.key for a in alarms))
        found.append(replace(endpoint, needs=needs))
    scaled = [] if foreign else scaling_of(site, (endpoint.key,) if endpoint else ())
    logs = [] if foreign or not (found or scaled) else _logs(site, data)
    if endpoint and logs:
        found[-1] = replace(endpoint, needs=(*needs, *(r.key for r in logs)))
    return [*logs, *found, *scaled]


def _endpoint(site: Site) -> Endpoint | None:
    if site.seen is None:
        return None
    carried = tags_of(site.aws, site.seen["EndpointArn"])
    ours = tags.is_ours(carried, site.name)
    return Endpoint(site, str(site.seen.get("EndpointConfigName", "")), carried) if ours else None


def _data(site: Site, wanted: Collection[str]) -> list[ModelData]:
    """Model data of other digests than those `wanted`, 32 digits each."""
    start = f"{site.name}/"
    besides = {site.survey.lock_key, *(record.object_key for record in records(site.survey))}
    keys = [k for k in site.survey.objects() if k not in besides]
    if site.survey.has_bucket:
        keys += [u["Key"] for u in unfinished(site.aws, site.bucket, start)]
    digests = {k[len(start) :].partition("/")[0] for k in keys if "/" in k[len(start) :]}
    return [ModelData(site, digest) for digest in sorted(digests) if digest not in wanted]


def _role(site: Site, data: Iterable[Resource]) -> list[Role]:
    answer = site.aws.find("iam", "GetRole", MISSING, RoleName=site.role)
    if answer is None or not tags.is_ours(tags.as_map(answer["Role"].get("Tags")), site.name):
        return []
    return [Role(site.aws, site.survey, site.role, site.name, {}, {}, {}, tuple(d.key for d in data))]


def _models(site: Site, used: Iterable[str], needs: Iterable[Resource]) -> list[SageMakerModel]:
    keys = tuple(r.key for r in needs)
    kept = set(used)
    return [
        SageMakerModel(site, name, {}, {}, keys)
        for name, entry in find_models(site).items()
        if name not in kept and tags.is_ours(tags_of(site.aws, entry["ModelArn"]), site.name)
    ]


def _config(site: Site, name: str, models: Iterable[Resource]) -> EndpointConfig:
    return EndpointConfig(site, name, {}, None, {}, needs=tuple(m.key for m in models))


def _alarms(site: Site, wanted: Iterable[str], needs: Iterable[Resource]) -> list[MetricAlarm]:
    prefix, mark = names.alarm_prefix(site.name), describe(site.name)
    keys = tuple(r.key for r in needs)
    listed = site.aws.pages("cloudwatch", "DescribeAlarms", "MetricAlarms", AlarmNamePrefix=prefix)
    found = [a["AlarmName"] for a in listed if a.get("AlarmDescription") == mark]
    return [
        MetricAlarm(site.aws, site.survey, name, site.name, {}, {}, keys)
        for name in found
        if name not in set(wanted)
    ]


def scaling_of(site: Site, needs: tuple[str, ...]) -> list[Resource]:
    """The target with its policies and schedules; the plan leaves alone those that are wished for."""
    aws, survey, of = site.aws, site.survey, site.dimension
    if find_target(aws, of) is None:
        return []
    target = ScalableTarget(aws, survey, of, 0, 0, needs=needs)
    policies = [ScalingPolicy(aws, survey, of, n, {}, (target.key,)) for n in find_policies(aws, of)]
    actions = [
        ScheduledAction(aws, survey, of, n, "", "", None, None, (target.key,)) for n in find_actions(aws, of)
    ]
    return [target, *policies, *actions]


def _logs(site: Site, data: Iterable[Resource]) -> list[LogGroup]:
    """The log group; the model data goes after it, so that a removal that breaks off here goes on."""
    group = LogGroup(site.aws, names.log_group(site.name), tuple(d.key for d in data))
    return [group] if group.read() else []
