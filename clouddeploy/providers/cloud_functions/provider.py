"""`CloudFunctions`: the provider behind the target ``cloud-functions``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Unpack

from clouddeploy.engine.finding import Cost, Finding, Mapped
from clouddeploy.errors import NotFound, SpecError
from clouddeploy.model import Model
from clouddeploy.packaging.cloud_functions import MODEL_BYTES_IN_ZIP, SOURCE_BYTES, function_source
from clouddeploy.providers import Embedded, Graph
from clouddeploy.providers.cloud_functions.check import check
from clouddeploy.providers.cloud_functions.compiler import Packager, compile_deployment, packed
from clouddeploy.providers.cloud_functions.costs import costs
from clouddeploy.providers.cloud_functions.mapping import AUTOSCALING
from clouddeploy.providers.cloud_functions.options import Options
from clouddeploy.providers.cloud_functions.permissions import deployer_role
from clouddeploy.providers.cloud_functions.preflight import look
from clouddeploy.providers.cloud_functions.restoring import rescaled, running
from clouddeploy.providers.cloud_functions.serving import deployments, described, status_of
from clouddeploy.providers.cloud_functions.site import Site, find_site, is_ours
from clouddeploy.providers.cloud_functions.source import Package
from clouddeploy.providers.cloud_functions.stale import everything, left_over
from clouddeploy.providers.gcp import logs
from clouddeploy.providers.gcp.client import Gcp, Transport
from clouddeploy.providers.gcp.lock import GcsLock
from clouddeploy.providers.gcp.metrics import service_metrics
from clouddeploy.providers.gcp.options import Form, GcpOptions, Ingress
from clouddeploy.providers.gcp.run.invocation import Caller
from clouddeploy.providers.gcp.run.restoring import restored, split
from clouddeploy.providers.gcp.run.revisions import kept
from clouddeploy.spec import Architecture, Autoscaling, Compression, Deployment, Reply, Status, Summary

POLL_S = 1.0
EMBEDDED_POLL_S = 0.02
TIMEOUT_S = 3600.0
"""Seconds that a removal or a rollback waits for the cloud."""


def pack(
    model: Model, *, python: str, form: Form, torch_index: str | None, model_bytes_in_zip: int
) -> Package:
    """`model` packed by clouddeploy."""
    return function_source(
        model, python=python, form=form, torch_index=torch_index, model_bytes_in_zip=model_bytes_in_zip
    )


class CloudFunctions:
    """Deploys to Cloud Functions, second generation. Constructing it makes no call and reads no credentials.

    Args:
        bucket: an existing bucket for the source; None makes one for project and region.
        transport: makes the calls instead of Google's clients.
        poll_s: seconds between the first two looks at what takes time.
        retry_delay_s: upper bound of the first pause before a call is tried again.
        packager: packs models instead of clouddeploy's own packager.
        runtime, cpu, ingress, secrets, vpc_connector, docker_repository, form, torch_index,
            model_bytes_in_zip: see `Options`.
        options: project, region, credentials, endpoint_url; what is left out is found as Google's own
            tools find it (see `GcpOptions`).

    Raises:
        SpecError: an option has a value that Cloud Functions doesn't know.
    """

    target: ClassVar[str] = "cloud-functions"
    autoscaling: ClassVar[Mapping[str, Mapped]] = AUTOSCALING

    @staticmethod
    def embedded(cloud: Embedded, region: str | None) -> Mapping[str, Any]:
        """Options that reach the embedded cloud."""
        return {
            "project": "embedded",
            "region": region or "europe-west1",
            "endpoint_url": cloud.google_url,
            "credentials": "anonymous",
            "poll_s": EMBEDDED_POLL_S,
        }

    def __init__(
        self,
        *,
        bucket: str | None = None,
        transport: Transport | None = None,
        poll_s: float = POLL_S,
        retry_delay_s: float | None = None,
        packager: Packager = pack,
        runtime: str = "python313",
        cpu: float | None = None,
        ingress: Ingress = "all",
        secrets: Mapping[str, str] | None = None,
        vpc_connector: str | None = None,
        docker_repository: str | None = None,
        form: Form = "onnx",
        torch_index: str | None = None,
        model_bytes_in_zip: int = MODEL_BYTES_IN_ZIP,
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
            cpu=cpu,
            ingress=ingress,
            secrets=secrets or {},
            vpc_connector=vpc_connector,
            docker_repository=docker_repository,
            form=form,
            torch_index=torch_index,
            model_bytes_in_zip=model_bytes_in_zip,
        )

    def check(self, deployment: Deployment) -> Sequence[Finding]:
        """What Cloud Functions makes of the wish."""
        return check(deployment, self._options)

    def preflight(self, deployment: Deployment) -> Sequence[str]:
        """Look whether the secrets and the account that the wish names are there.

        Raises:
            NotFound: one of them isn't.
        """
        return look(self.gcp, self._options.secrets, deployment.access.role)

    def compile(self, deployment: Deployment) -> Graph:
        """The resources of the deployment. One call: whether a function of the name is there."""
        check(deployment, self._options)
        site = self._site(deployment.name, deployment.timeout_s)
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
        """The traffic on a kept release."""
        site = self._running(name)
        return Graph((restored(site.run, release),), tuple, GcsLock(site.survey))

    def traffic(self, name: str) -> Mapping[str, int]:
        """Percent of the requests by release."""
        return running(self._site(name))

    def split(self, name: str, shares: Mapping[str, int]) -> Graph:
        """The traffic with these shares."""
        site = self._running(name)
        return Graph((split(site.run, shares),), tuple, GcsLock(site.survey))

    def rescale(self, name: str, autoscaling: Autoscaling) -> Graph:
        """The function with other numbers of copies; requests follow to the revision that this makes."""
        site = self._site(name)
        function, spare = rescaled(site, autoscaling)
        return Graph((function,), lambda: spare, GcsLock(site.survey))

    def releases(self, name: str) -> Sequence[str]:
        """Digests of the kept releases, the serving one first, then newest first."""
        return [r.release for r in kept(self._site(name).run)]

    def costs(self, deployment: Deployment) -> Sequence[Cost]:
        """By list price."""
        return costs(deployment, self._options, self.gcp.region)

    def invoke(self, name: str, body: bytes, *, content_type: str, accept: str) -> Reply:
        """Send one request to the function's own address, with an identity token."""
        return self._caller.invoke(name, body, content_type=content_type, accept=accept)

    def status(self, name: str) -> Status:
        """How the function `name` stands."""
        site = self._site(name)
        return status_of(site.seen, site.run)

    def logs(self, name: str, *, since_s: float, limit: int) -> Iterator[str]:
        """The last log lines of all its copies."""
        return logs.tail(self.gcp, name, since_s=since_s, limit=limit)

    def metrics(self, name: str, *, since_s: float) -> Mapping[str, float]:
        """Figures from Cloud Monitoring."""
        return service_metrics(self.gcp, name, since_s=since_s)

    def deployments(self) -> Iterator[Summary]:
        """Every function in the region with our labels."""
        return deployments(self.gcp, self.target, self._poll_s)

    def package(
        self,
        model: Model,
        out: Path,
        *,
        compression: Compression = "auto",
        architecture: Architecture = "x86_64",
    ) -> Path:
        """Write the source to `out`: the very zip that `deploy` sends where the name ends in ``.zip``, else a
        new folder for ``gcloud functions deploy --source``, which has all the weights in it.

        Raises:
            SpecError: the weights don't fit into a source.
        """
        if out.suffix == ".zip":
            return packed(model, self._options, self._packager).write(out)
        limit = max(self._options.model_bytes_in_zip, SOURCE_BYTES)
        source = packed(model, self._options, self._packager, model_bytes_in_zip=limit)
        if source.remote is not None:
            raise SpecError(
                f"the weights have {source.remote.size:,} bytes, too many for a folder that gcloud takes",
                why=f"a source has {SOURCE_BYTES:,} bytes at the most; larger weights lie in a bucket, where "
                "clouddeploy puts them when it deploys",
                fix="deploy with clouddeploy, or write the zip alone: --out function.zip",
            )
        return source.write_folder(out)

    def describe(self, name: str) -> Mapping[str, Any]:
        """Names and the address of what runs under `name`.

        Raises:
            NotFound: nothing does.
        """
        site = self._site(name)
        if site.seen is None or not is_ours(site.seen, name):
            raise NotFound(
                f"nothing runs under {name!r} on Cloud Functions in {self.gcp.region}", fix="deploy it first"
            )
        return described(site, site.seen)

    @staticmethod
    def permissions() -> Mapping[str, Any]:
        """A custom IAM role with all that one who deploys needs."""
        return deployer_role()

    def _running(self, name: str) -> Site:
        site = self._site(name)
        running(site)
        return site

    def _site(self, name: str, timeout_s: float = TIMEOUT_S) -> Site:
        return find_site(self.gcp, name, bucket=self._bucket, poll_s=self._poll_s, timeout_s=timeout_s)
