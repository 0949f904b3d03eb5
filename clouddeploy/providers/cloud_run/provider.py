"""`CloudRun`: the provider behind the target ``cloud-run``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Unpack, cast

from clouddeploy.engine.finding import Cost, Finding, Mapped
from clouddeploy.errors import CloudDeployError, NotFound, NotSupported, SpecError
from clouddeploy.model import Model
from clouddeploy.packaging.images import Base, Reference
from clouddeploy.packaging.images.server import ServerFiles, server_files
from clouddeploy.providers import Embedded, Graph
from clouddeploy.providers.cloud_run import configuration
from clouddeploy.providers.cloud_run.check import check, refuse_scaling
from clouddeploy.providers.cloud_run.compiler import ARCHITECTURE, Packager, built, compile_deployment
from clouddeploy.providers.cloud_run.costs import costs
from clouddeploy.providers.cloud_run.mapping import AUTOSCALING
from clouddeploy.providers.cloud_run.options import Options
from clouddeploy.providers.cloud_run.permissions import deployer_role
from clouddeploy.providers.cloud_run.service import Service
from clouddeploy.providers.cloud_run.site import (
    Site,
    find_site,
    is_ours,
    open_registry,
    refuse_foreign,
    registry_host,
)
from clouddeploy.providers.cloud_run.stale import everything, left_over
from clouddeploy.providers.gcp import logs
from clouddeploy.providers.gcp.client import Gcp, Transport
from clouddeploy.providers.gcp.labels import DEPLOYMENT
from clouddeploy.providers.gcp.lock import GcsLock
from clouddeploy.providers.gcp.metrics import service_metrics
from clouddeploy.providers.gcp.options import Form, GcpOptions, Ingress
from clouddeploy.providers.gcp.run import restoring, serving
from clouddeploy.providers.gcp.run.invocation import Caller
from clouddeploy.providers.gcp.run.revision import short
from clouddeploy.providers.gcp.run.revisions import kept
from clouddeploy.providers.gcp.run.site import RunSite, nothing
from clouddeploy.spec import Architecture, Autoscaling, Compression, Deployment, Reply, Status, Summary

POLL_S = 1.0
TIMEOUT_S = 3600.0
"""Seconds that a removal or a rollback waits for the cloud."""
EMBEDDED_REGION = "europe-west1"


def packed(
    model: Model, *, python: str, architecture: str, form: str, torch_index: str | None
) -> ServerFiles:
    """`model` packed for Cloud Run by clouddeploy."""
    return server_files(
        model, python=python, architecture=architecture, form=cast(Form, form), torch_index=torch_index
    )


class CloudRun:
    """Deploys to Google Cloud Run. Constructing it makes no call and reads no credentials.

    Args:
        bucket: an existing bucket for the lock; None makes one for project and region.
        transport: makes the calls instead of Google's clients.
        poll_s: seconds between the first two looks at what takes time.
        retry_delay_s: upper bound of the first pause before a call is tried again.
        packager: packs models instead of clouddeploy's own packager.
        runtime, image, repository, base_image, cpu, gpu, gpu_zonal_redundancy, ingress, secrets,
            vpc_connector, form, torch_index: see `Options`.
        options: project, region, credentials, endpoint_url; what is left out is found as Google's own
            tools find it (see `GcpOptions`).

    Raises:
        SpecError: an option has a value that Cloud Run doesn't know.
    """

    target: ClassVar[str] = "cloud-run"
    autoscaling: ClassVar[Mapping[str, Mapped]] = AUTOSCALING

    @staticmethod
    def embedded(cloud: Embedded, region: str | None) -> Mapping[str, Any]:
        """Options that reach the embedded cloud, whose registry has the base images too."""
        return {
            "project": "embedded",
            "region": region or EMBEDDED_REGION,
            "endpoint_url": cloud.google_url,
            "credentials": "anonymous",
            "poll_s": 0.1,
        }

    def __init__(
        self,
        *,
        bucket: str | None = None,
        transport: Transport | None = None,
        poll_s: float = POLL_S,
        retry_delay_s: float | None = None,
        packager: Packager = packed,
        runtime: str = "python313",
        image: str | None = None,
        repository: str | None = None,
        base_image: str | None = None,
        cpu: float | None = None,
        gpu: str | None = None,
        gpu_zonal_redundancy: bool = False,
        ingress: Ingress = "all",
        secrets: Mapping[str, str] | None = None,
        vpc_connector: str | None = None,
        form: Form = "onnx",
        torch_index: str | None = None,
        **options: Unpack[GcpOptions],
    ) -> None:
        self.gcp = Gcp(
            **options,
            transport=transport,
            # Where looks follow each other at once, as in tests, attempts do, too.
            retry_delay_s=min(0.3, poll_s) if retry_delay_s is None else retry_delay_s,
        )
        self._bucket, self._poll_s, self._packager = bucket, poll_s, packager
        self._caller = Caller(self.gcp)
        self._options = Options(
            runtime=runtime,
            image=image,
            repository=repository,
            base_image=base_image,
            cpu=cpu,
            gpu=gpu,
            gpu_zonal_redundancy=gpu_zonal_redundancy,
            ingress=ingress,
            secrets=secrets or {},
            vpc_connector=vpc_connector,
            form=form,
            torch_index=torch_index,
        )

    def check(self, deployment: Deployment) -> Sequence[Finding]:
        """What Cloud Run makes of the wish."""
        host = registry_host(self.gcp) if self.gcp.endpoint_url else ""
        return check(deployment, self._options, self.gcp.region, host=host)

    def preflight(self, deployment: Deployment) -> Sequence[str]:
        """Look whether an image of the user's own is there, and for the right machine.

        Raises:
            SpecError: it isn't.
        """
        image = self._options.image
        if image is None:
            return ()
        registry = open_registry(self.gcp, Reference.parse(image).host)
        try:
            Base.resolve(image, architecture=ARCHITECTURE, registry=registry)
        except NotFound as error:
            raise SpecError(
                f"the image {image!r} doesn't exist",
                why=error.why or error.what,
                fix="push it, or correct its name, tag or digest",
            ) from error
        except SpecError:
            raise
        except CloudDeployError as error:
            return (f"the image {image} can't be looked up: {error.what}",)
        return ()

    def compile(self, deployment: Deployment) -> Graph:
        """The resources of the deployment. One call: whether a service of the name is there."""
        self.check(deployment)
        site = self._site(deployment.name, deployment.timeout_s)
        refuse_foreign(site)
        compiled = compile_deployment(site, deployment, self._options, self._packager)
        return Graph(
            compiled.resources,
            lambda: left_over(site, compiled, keep=deployment.keep_releases),
            GcsLock(site.survey),
            compiled.warnings,
        )

    def removal(self, name: str) -> Graph:
        """Everything of `name`, found by listing."""
        site = self._site(name)
        return Graph((), lambda: everything(site), GcsLock(site.survey, makes_bucket=False))

    def restore(self, name: str, release: str | None) -> Graph:
        """The traffic on the revision of a kept release."""
        site = self._own(name)
        return Graph((restoring.restored(site.run, release),), tuple, GcsLock(site.survey))

    def traffic(self, name: str) -> Mapping[str, int]:
        """Percent of the requests by release."""
        return serving.traffic_of(self._own(name).run)

    def split(self, name: str, shares: Mapping[str, int]) -> Graph:
        """The traffic over the revisions of kept releases."""
        site = self._own(name)
        return Graph((restoring.split(site.run, shares),), tuple, GcsLock(site.survey))

    def rescale(self, name: str, autoscaling: Autoscaling) -> Graph:
        """The service's own limits, which make no new revision."""
        refuse_scaling(autoscaling, None)
        site = self._own(name)
        now = configuration.told(site.run.service() or {})
        if autoscaling.concurrency is not None:
            _refuse_other_concurrency(name, autoscaling, int(now["concurrency"]))
        if autoscaling.max > now["revision_max"]:
            raise NotSupported(
                f"{name!r} can't have {autoscaling.max} instances without a new revision",
                why=f"its newest revision was made for {now['revision_max']} at the most",
                fix=f"deploy again with autoscaling.max of {autoscaling.max}, or ask for fewer",
            )
        if not now["alive"]:
            raise NotSupported(
                f"{name!r} can't be scaled: its last change failed, or is under way",
                why=str((site.run.service() or {}).get("terminalCondition", {}).get("message", "")),
                fix="see its status(), deploy again if that change failed, then scale",
            )
        wish = {**now, "min": autoscaling.min, "max": autoscaling.max}
        return Graph((Service(site, wish),), tuple, GcsLock(site.survey))

    def releases(self, name: str) -> Sequence[str]:
        """Digests of the kept releases, the serving one first, then newest first."""
        return [r.release for r in kept(self._site(name).run)]

    def costs(self, deployment: Deployment) -> Sequence[Cost]:
        """By list price."""
        return costs(deployment, self._options)

    def invoke(self, name: str, body: bytes, *, content_type: str, accept: str) -> Reply:
        """Send one request to service `name`."""
        return self._caller.invoke(name, body, content_type=content_type, accept=accept)

    def status(self, name: str) -> Status:
        """How the service `name` stands."""
        site = self._site(name)
        found = site.run.service()
        if found is not None and not is_ours(found, name):
            return Status("missing", "")
        return serving.status_of(site.run)

    def logs(self, name: str, *, since_s: float, limit: int) -> Iterator[str]:
        """The last log lines of all its instances."""
        return logs.tail(self.gcp, name, since_s=since_s, limit=limit)

    def metrics(self, name: str, *, since_s: float) -> Mapping[str, float]:
        """Figures from Cloud Monitoring."""
        return service_metrics(self.gcp, name, since_s=since_s)

    def deployments(self) -> Iterator[Summary]:
        """Every service in the region with our labels."""
        for entry in self.gcp.pages("run", "ListServices", "services", parent=self.gcp.location):
            name = short(str(entry["name"]))
            if is_ours(entry, name) and DEPLOYMENT in entry["labels"]:
                run = RunSite(self.gcp, name, poll_s=self._poll_s, timeout_s=TIMEOUT_S)
                status = serving.status_of(run)
                yield Summary(name, self.target, status.phase, status.release, entry.get("createTime", ""))

    def package(
        self,
        model: Model,
        out: Path,
        *,
        compression: Compression = "auto",
        architecture: Architecture = "x86_64",
    ) -> Path:
        """Write the image to the new folder `out`, in the OCI layout.

        Raises:
            SpecError: an image of the user's own is deployed, so there is nothing to package.
        """
        options = self._options
        if options.image:
            raise SpecError("an image is deployed, so there is nothing to package", fix="leave image out")
        files = self._packager(
            model,
            python=options.python,
            architecture=architecture,
            form=options.form,
            torch_index=options.torch_index,
        )
        return built(self.gcp, options, files, architecture).write(out)

    def describe(self, name: str) -> Mapping[str, Any]:
        """Names and the address of what runs under `name`.

        Raises:
            NotFound: nothing does.
        """
        site = self._own(name)
        found = site.run.service() or {}
        template = found.get("template") or {}
        return {
            "project": self.gcp.project,
            "region": self.gcp.region,
            "service": site.run.full_name,
            "url": found.get("uri", ""),
            "revision": short(str(found.get("latestReadyRevision", ""))),
            "image": (template.get("containers") or [{}])[0].get("image", ""),
            "service_account": template.get("serviceAccount", ""),
            "repository": site.repository_name,
            "bucket": site.survey.bucket,
        }

    @staticmethod
    def permissions() -> Mapping[str, Any]:
        """A custom role with all that deploying takes, for ``gcloud iam roles create --file``."""
        return deployer_role()

    def _own(self, name: str) -> Site:
        """The deployment's site, once it is clear that it runs and is ours."""
        site = self._site(name)
        refuse_foreign(site)
        if site.run.service() is None:
            raise nothing(site.run)
        return site

    def _site(self, name: str, timeout_s: float = TIMEOUT_S) -> Site:
        return find_site(
            self.gcp,
            name,
            bucket=self._bucket,
            repository=self._options.repository,
            poll_s=self._poll_s,
            timeout_s=timeout_s,
        )


def _refuse_other_concurrency(name: str, wish: Autoscaling, now: int) -> None:
    from clouddeploy.providers.cloud_run.sizes import concurrency_of

    if concurrency_of(wish, None) != now:
        raise NotSupported(
            f"the concurrency of {name!r} can't be changed without a new revision",
            why=f"it is a setting of a revision, and the newest one gets {now} requests at once at the most",
            fix="deploy again with that target, or leave concurrency out",
        )
