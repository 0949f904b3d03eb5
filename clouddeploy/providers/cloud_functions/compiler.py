"""From a wish to the resources that it consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from clouddeploy.engine.resource import Resource
from clouddeploy.model import Model
from clouddeploy.providers.cloud_functions import configuration, names
from clouddeploy.providers.cloud_functions.artifacts import BuildArtifacts
from clouddeploy.providers.cloud_functions.function import Function
from clouddeploy.providers.cloud_functions.options import Options
from clouddeploy.providers.cloud_functions.revisions import ReleaseRevision
from clouddeploy.providers.cloud_functions.site import Site, is_ours
from clouddeploy.providers.cloud_functions.source import Package, Source
from clouddeploy.providers.cloud_functions.weights import Weights, WeightsAccess
from clouddeploy.providers.gcp.alarms import AlertPolicy, Policies
from clouddeploy.providers.gcp.bucket import Bucket
from clouddeploy.providers.gcp.iam import Access
from clouddeploy.providers.gcp.labels import RELEASE_VARIABLE, make_labels
from clouddeploy.providers.gcp.options import Form
from clouddeploy.providers.gcp.run import alarming
from clouddeploy.providers.gcp.run.invoker import PublicAccess
from clouddeploy.providers.gcp.run.traffic import Traffic
from clouddeploy.providers.gcp.secrets import accessor
from clouddeploy.providers.gcp.service_account import ServiceAccount
from clouddeploy.spec import Deployment, digest_of

TARGET = "cloud-functions"


class Packager(Protocol):
    """Packs a model for a Python version."""

    def __call__(
        self, model: Model, *, python: str, form: Form, torch_index: str | None, model_bytes_in_zip: int
    ) -> Package:
        """The source; nothing is written yet."""


@dataclass(frozen=True)
class Compiled:
    """The resources of one wish, by their part."""

    source: Source
    account: ServiceAccount | None
    secrets: tuple[Access, ...]
    function: Function
    policies: Policies
    alarms: tuple[AlertPolicy, ...]
    release: str
    resources: tuple[Resource, ...]
    warnings: tuple[str, ...]

    @property
    def keys(self) -> frozenset[str]:
        """Their keys."""
        return frozenset(r.key for r in self.resources)


def compile_deployment(site: Site, deployment: Deployment, options: Options, packager: Packager) -> Compiled:
    """What `deployment` consists of. Makes no call."""
    package = packed(deployment.model, options, packager)
    bucket = Bucket(site.survey, own=site.own_bucket)
    source = Source(site, package.digest, package, (bucket.key,))
    artifacts = BuildArtifacts(site, options.docker_repository or "", (source.key,))
    account = None if deployment.access.role else own_account(site, (source.key,))
    email = deployment.access.role or (account.email if account else "")
    secrets = (
        secret_access(site, options.secrets, email, (account.key,)) if account and options.secrets else ()
    )
    weights = _weights(site, package, account, source)
    wish = _function(deployment, options, package, email, site.gcp.project)
    if package.remote:
        wish["env"][configuration.WEIGHTS] = Weights(site, package.remote.object).uri
    release = str(wish["env"][RELEASE_VARIABLE])
    revision = ReleaseRevision(site, release, (source.key,))
    below: tuple[Resource, ...] = (
        source,
        artifacts,
        *((account,) if account else ()),
        *weights,
        *secrets,
        revision,
    )
    wish["labels"].update(alarming.label(deployment, (site.seen or {}).get("labels")))
    function = Function(site, wish, tuple(r.key for r in below))
    policies = policies_of(site)
    alarms = alarming.alert_policies(policies, deployment, (function.key,))
    traffic = Traffic(site.run, {release: 100}, (function.key,))
    public = (PublicAccess(site.run, (function.key,)),) if deployment.access.public else ()
    return Compiled(
        source,
        account,
        secrets,
        function,
        policies,
        alarms,
        release,
        (bucket, *below, function, *alarms, traffic, *public),
        package.warnings,
    )


def packed(
    model: Model, options: Options, packager: Packager, *, model_bytes_in_zip: int | None = None
) -> Package:
    """`model` packed as the options say; nothing is written yet."""
    limit = options.model_bytes_in_zip if model_bytes_in_zip is None else model_bytes_in_zip
    return packager(
        model,
        python=options.python,
        form=options.form,
        torch_index=options.torch_index,
        model_bytes_in_zip=limit,
    )


def _weights(
    site: Site, package: Package, account: ServiceAccount | None, source: Source
) -> tuple[Resource, ...]:
    if package.remote is None:
        return ()
    weights = Weights(site, package.remote.object, package.remote.content, (source.key,))
    if account is None:
        return (weights,)
    return weights, WeightsAccess(site, account.email, (account.key,))


def policies_of(site: Site) -> Policies:
    """The deployment's alert policies, which the function's labels tell of, and without one its source."""

    def exist() -> bool:
        if site.seen is not None and is_ours(site.seen, site.name):
            return alarming.has_alarms(site.seen.get("labels"))
        return not site.survey.fresh

    return Policies(site.gcp, site.name, TARGET, exist)


def own_account(site: Site, needs: tuple[str, ...]) -> ServiceAccount:
    """The service account that is made when none is given."""
    return ServiceAccount(site.gcp, site.survey, site.account, site.name, needs)


def secret_access(site: Site, secrets: Any, email: str, needs: tuple[str, ...]) -> tuple[Access, ...]:
    """Leave for the account to read each secret, once."""
    wanted = sorted({reference.partition(":")[0] for reference in secrets.values()})
    return tuple(accessor(site.gcp, site.gcp.project, secret, email, needs) for secret in wanted)


def _function(
    deployment: Deployment, options: Options, package: Package, email: str, project: str
) -> dict[str, Any]:
    """The function's state. A release is named by the source and all that makes a revision, but not by
    the number of copies."""
    config = configuration.wished(deployment, options, email, project)
    digest = package.digest[: names.ARTIFACT_DIGITS]
    named = {k: v for k, v in config.items() if k not in configuration.SCALING}
    named["env"] = configuration.environment(deployment)
    release = digest_of({"source": digest, **named})[: names.DIGITS]
    return {
        **config,
        "env": {**config["env"], RELEASE_VARIABLE: release},
        "source": digest,
        "labels": make_labels(deployment.tags, deployment.name, release=release, digest=digest),
        "alive": True,
        "in_force": True,
    }
