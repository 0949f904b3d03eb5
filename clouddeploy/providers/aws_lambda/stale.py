"""What is there of a deployment and should not be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

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
from clouddeploy.providers.aws.image_record import FOLDER
from clouddeploy.providers.aws.images import Reach, repository_name
from clouddeploy.providers.aws.logs import LogGroup
from clouddeploy.providers.aws.multipart import unfinished
from clouddeploy.providers.aws.role import MISSING, Role
from clouddeploy.providers.aws.stale_images import stale_images
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.api_permission import ApiPermission
from clouddeploy.providers.aws_lambda.code import Code
from clouddeploy.providers.aws_lambda.compiler import WATCHES, Compiled
from clouddeploy.providers.aws_lambda.failures import FailureDestination
from clouddeploy.providers.aws_lambda.function import Function
from clouddeploy.providers.aws_lambda.http_api import HttpApi, find_apis
from clouddeploy.providers.aws_lambda.provisioned import ProvisionedConcurrency
from clouddeploy.providers.aws_lambda.releases import find_releases, serving_version
from clouddeploy.providers.aws_lambda.site import Site
from clouddeploy.providers.aws_lambda.url import FunctionUrl, PublicAccess
from clouddeploy.providers.aws_lambda.version import Version


def left_over(site: Site, compiled: Compiled, reach: Reach, *, keep: int) -> Sequence[Resource]:
    """What remains of other releases than `compiled` and the `keep` ones before it, and of killed deploys."""
    digests = {compiled.source.digest}
    wanted = {names.code_prefix(site.name, digest) for digest in digests if digest}
    if site.seen is None and site.survey.fresh:
        return [] if site.survey.untouched else _code(site, wanted)
    found = find_releases(site, serving=serving_version(site))
    others = [r for r in found if r.release != compiled.version.release]
    kept, old = others[:keep], others[keep:]
    digests |= {r.digest for r in kept}
    wanted |= {names.code_prefix(site.name, digest) for digest in digests if digest}
    into = compiled.source.images.repository if compiled.source.images else None
    images = stale_images(site.survey, reach, own=repository_name(site.name), wanted=digests, into=into)
    code: list[Resource] = [*_code(site, wanted), *images.records]
    role = _role(site, code) if compiled.role is None else []
    below: list[Resource] = [*code, *images.others, *role]
    needs = tuple(r.key for r in below)
    versions = [Version(site, r.release, r.digest, needs) for r in old]
    alarms = _alarms(site, {a.name for a in compiled.alarms}, code)
    return [
        *below,
        *versions,
        *alarms,
        *_extras(site, compiled),
        *_scaling(site, (ProvisionedConcurrency(site, 0).key,)),
    ]


def _extras(site: Site, compiled: Compiled) -> list[Resource]:
    """What hangs on the alias and is no longer wished for. What is wished for needn't be looked for."""
    extras: tuple[Resource, ...] = (
        FunctionUrl(site, ""),
        PublicAccess(site),
        ApiPermission(site),
        HttpApi(site, "", needs=(ApiPermission(site).key,)),
        FailureDestination(site, ""),
        ProvisionedConcurrency(site, 0),
    )
    return [e for e in extras if e.key not in compiled.keys and e.read() is not None]


def scaling_left(site: Site, wanted: Collection[str]) -> list[Resource]:
    """Copies kept running and their rules, where `wanted` has them no longer."""
    copies = ProvisionedConcurrency(site, 0)
    kept: list[Resource] = [] if copies.key in wanted or copies.read() is None else [copies]
    return [*kept, *_scaling(site, (copies.key,))]


def everything(site: Site, reach: Reach) -> Sequence[Resource]:
    """All that belongs to the deployment, whatever the listing of the bucket says."""
    found = None if site.empty else site.find("GetFunction")
    ours = found is not None and tags.is_ours(found.get("Tags") or {}, site.name)
    foreign = found is not None and not ours
    images = stale_images(site.survey, reach, own=repository_name(site.name))
    code: list[Resource] = [*_code(site, ()), *images.records]
    role = _role(site, code)
    alarms = _alarms(site, (), code)
    base: list[Resource] = [*code, *images.others, *role, *alarms]
    scaled = [] if foreign else _scaling(site, (f"function/{site.name}",))
    logs = [] if foreign or not (base or scaled or ours) else _logs(site, code)
    needs = tuple(r.key for r in (*base, *logs))
    function = [Function(site, {}, needs)] if ours else []
    return [*base, *logs, *function, *scaled, *_api(site, (*needs, f"function/{site.name}"))]


def _api(site: Site, needs: tuple[str, ...]) -> list[HttpApi]:
    """The HTTP API; what else there is goes after it, so that a removal that breaks off here goes on."""
    return [] if site.empty or not find_apis(site) else [HttpApi(site, "", needs=needs)]


def _code(site: Site, wanted: Iterable[str]) -> list[Code]:
    start = site.survey.prefix
    keys = [k for k in site.survey.objects() if k != site.survey.lock_key]
    if site.survey.has_bucket:
        keys += [u["Key"] for u in unfinished(site.aws, site.bucket, start)]
    inner = [k[len(start) :] for k in keys]
    digests = {k.partition("/")[0] for k in inner if "/" in k and f"/{FOLDER}" not in k}
    return [c for c in (Code(site, digest) for digest in sorted(digests)) if c.prefix not in set(wanted)]


def _role(site: Site, code: Iterable[Resource]) -> list[Role]:
    answer = site.aws.find("iam", "GetRole", MISSING, RoleName=site.role)
    if answer is None or not tags.is_ours(tags.as_map(answer["Role"].get("Tags")), site.name):
        return []
    return [Role(site.aws, site.survey, site.role, site.name, {}, {}, {}, tuple(c.key for c in code))]


def _alarms(site: Site, wanted: Iterable[str], needs: Iterable[Resource]) -> list[MetricAlarm]:
    prefix, mark = names.alarm_prefix(site.name), describe(site.name, WATCHES)
    keys = tuple(r.key for r in needs)
    listed = site.aws.pages("cloudwatch", "DescribeAlarms", "MetricAlarms", AlarmNamePrefix=prefix)
    found = [a["AlarmName"] for a in listed if a.get("AlarmDescription") == mark]
    return [
        MetricAlarm(site.aws, site.survey, name, site.name, {}, {}, keys, WATCHES)
        for name in found
        if name not in set(wanted)
    ]


def _scaling(site: Site, needs: tuple[str, ...]) -> list[Resource]:
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


def _logs(site: Site, code: Iterable[Resource]) -> list[LogGroup]:
    """The log group; the code goes after it, so that a removal that breaks off here goes on."""
    group = LogGroup(site.aws, names.log_group(site.name), tuple(c.key for c in code))
    return [group] if group.read() else []
