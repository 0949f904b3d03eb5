"""From a wish to the resources that it consists of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from clouddeploy.engine.resource import Resource
from clouddeploy.model import Model
from clouddeploy.packaging.artifact import Member
from clouddeploy.packaging.images import Base, ImageArtifact, Reference
from clouddeploy.packaging.images.base_lock import locked_base
from clouddeploy.packaging.images.server import server_base, server_image
from clouddeploy.providers.cloud_run import configuration, names
from clouddeploy.providers.cloud_run.image import Image
from clouddeploy.providers.cloud_run.options import Options
from clouddeploy.providers.cloud_run.repository import Repository
from clouddeploy.providers.cloud_run.service import Service
from clouddeploy.providers.cloud_run.site import Site, is_ours, open_registry, registry_host
from clouddeploy.providers.gcp.alarms import AlertPolicy, Policies
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.iam import Access
from clouddeploy.providers.gcp.run import alarming
from clouddeploy.providers.gcp.run.invoker import PublicAccess
from clouddeploy.providers.gcp.run.revisions import RunRevision
from clouddeploy.providers.gcp.run.traffic import Traffic
from clouddeploy.providers.gcp.secrets import accessor
from clouddeploy.providers.gcp.service_account import ServiceAccount, account_id
from clouddeploy.spec import Deployment

ARCHITECTURE = "x86_64"
"""What Cloud Run runs (Cloud Run documentation, "Container runtime contract")."""


class Files(Protocol):
    """A model packed for Cloud Run."""

    @property
    def members(self) -> tuple[Member, ...]:
        """The files below ``/app``."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the maker should know."""


class Packager(Protocol):
    """Packs a model for the machine of an image."""

    def __call__(
        self, model: Model, *, python: str, architecture: str, form: str, torch_index: str | None
    ) -> Files:
        """The files; nothing is written yet."""


@dataclass(frozen=True)
class Compiled:
    """The resources of one wish, by their part."""

    repository: Repository | None
    image: Image | None
    account: ServiceAccount | None
    secrets: tuple[Access, ...]
    revision: RunRevision
    service: Service
    policies: Policies
    alarms: tuple[AlertPolicy, ...]
    public: PublicAccess | None
    traffic: Traffic
    warnings: tuple[str, ...]

    @property
    def resources(self) -> tuple[Resource, ...]:
        """All of them, each after what it needs."""
        found: tuple[Resource | None, ...] = (
            self.repository,
            self.image,
            self.account,
            *self.secrets,
            self.revision,
            self.service,
            *self.alarms,
            self.public,
            self.traffic,
        )
        return tuple(r for r in found if r is not None)


def compile_deployment(site: Site, deployment: Deployment, options: Options, packager: Packager) -> Compiled:
    """What `deployment` consists of. Asks a registry for the base image, the first time."""
    files = None if options.image else _packed(deployment.model, options, packager)
    artifact = built(site.gcp, options, files, ARCHITECTURE) if files else None
    warnings = files.warnings if files else ()
    repository = Repository(site) if artifact and site.own_repository else None
    first = (repository.key,) if repository else ()
    image = Image(site, names.tag(artifact.digest), artifact, first) if artifact else None
    account = None if deployment.access.role else account_of(site)
    email = deployment.access.role or account_of(site).email
    read = {s.partition(":")[0] for s in options.secrets.values()} if account else set()
    secrets = tuple(bindings(site, read, account))
    digest = artifact.digest if artifact else ""
    labels = (site.run.service() or {}).get("labels")
    wish = configuration.wished(deployment, options, email, digest, site.gcp.project, labels)
    base = tuple(r.key for r in (image, account, *secrets) if r is not None)
    # Before the service in order, so that undo takes the revision away after the template is back.
    revision = RunRevision(site.run, str(wish["release"]), base)
    service = Service(site, wish, (*base, revision.key))
    policies = policies_of(site)
    alarms = alarming.alert_policies(policies, deployment, (service.key,))
    public = PublicAccess(site.run, (service.key,)) if deployment.access.public else None
    traffic = Traffic(site.run, {str(wish["release"]): 100}, (service.key,), pin=True)
    return Compiled(
        repository,
        image,
        account,
        secrets,
        revision,
        service,
        policies,
        alarms,
        public,
        traffic,
        warnings,
    )


def _packed(model: Model, options: Options, packager: Packager) -> Files:
    return packager(
        model,
        python=options.python,
        architecture=ARCHITECTURE,
        form=options.form,
        torch_index=options.torch_index,
    )


def built(gcp: Gcp, options: Options, files: Files, architecture: str) -> ImageArtifact:
    """The image of `files` on the wished base; nothing is written or sent yet."""
    return server_image(base_of(gcp, options, architecture), files.members)


def base_of(gcp: Gcp, options: Options, architecture: str) -> Base:
    """The base image, as it was first found (see `locked_base`)."""
    reference = options.base_image or server_base(options.python)
    # Where something answers instead of Google, that holds the public images too.
    host = registry_host(gcp) if gcp.endpoint_url else Reference.parse(reference).host
    return locked_base(reference, architecture=architecture, registry=open_registry(gcp, host))


def policies_of(site: Site) -> Policies:
    """The deployment's alert policies, which the service's labels tell of, and without one the lock."""

    def exist() -> bool:
        found = site.run.service()
        if found is not None and is_ours(found, site.name):
            return alarming.has_alarms(found.get("labels"))
        return not site.empty

    return Policies(site.gcp, site.name, names.TARGET, exist)


def account_of(site: Site, needs: tuple[str, ...] = ()) -> ServiceAccount:
    """The service account that is made when none is given."""
    name = account_id(names.TARGET, site.gcp.region, site.name)
    return ServiceAccount(site.gcp, site.survey, name, site.name, needs)


def bindings(site: Site, secrets: Iterable[str], account: ServiceAccount | None = None) -> Iterable[Access]:
    """Leave for our service account to read `secrets`."""
    made = account or account_of(site)
    needs = (account.key,) if account else ()
    for secret in sorted(set(secrets)):
        yield accessor(site.gcp, site.gcp.project, secret, made.email, needs)
