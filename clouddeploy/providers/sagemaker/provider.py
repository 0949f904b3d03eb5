"""`SageMaker`: the provider behind the target ``sagemaker``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Unpack

from clouddeploy.engine.finding import Cost, Finding, Mapped
from clouddeploy.engine.resource import Resource
from clouddeploy.errors import NotFound
from clouddeploy.model import Model
from clouddeploy.packaging.images.http import Wire
from clouddeploy.providers import Embedded, Graph
from clouddeploy.providers.aws import logs, tags
from clouddeploy.providers.aws.client import Aws, Transport
from clouddeploy.providers.aws.image_source import write_package
from clouddeploy.providers.aws.images import Reach
from clouddeploy.providers.aws.lock import S3Lock
from clouddeploy.providers.aws.options import AwsOptions, embedded
from clouddeploy.providers.sagemaker import interop, names, serving, splitting
from clouddeploy.providers.sagemaker.check import check
from clouddeploy.providers.sagemaker.compiler import compile_deployment
from clouddeploy.providers.sagemaker.costs import costs
from clouddeploy.providers.sagemaker.mapping import AUTOSCALING
from clouddeploy.providers.sagemaker.options import Form, Options, PackageKind
from clouddeploy.providers.sagemaker.permissions import deployer_policy
from clouddeploy.providers.sagemaker.releases import Release, find_releases
from clouddeploy.providers.sagemaker.restoring import restored
from clouddeploy.providers.sagemaker.runtime import pins
from clouddeploy.providers.sagemaker.site import Site, find_site, tags_of
from clouddeploy.providers.sagemaker.source import ImagePackager, Packager, packed_image
from clouddeploy.providers.sagemaker.stale import everything, left_over, scaling_of
from clouddeploy.spec import Architecture, Autoscaling, Compression, Deployment, Reply, Status, Summary

POLL_S = 5.0
TIMEOUT_S = 3600.0
"""Seconds that a removal or a rollback waits for the cloud."""


class SageMaker:
    """Deploys to Amazon SageMaker. Constructing it makes no call and reads no credentials.

    Args:
        bucket: an existing bucket for the artifacts; None makes one for account and region.
        transport: makes the calls instead of boto3.
        poll_s: seconds between the first two looks at what takes time.
        retry_delay_s: upper bound of the first pause before a call is tried again.
        image_packager: packs models as images instead of clouddeploy's own packager.
        wire: sends requests to image registries instead of the standard library's client.
        package, image, base_image, repository, base_registry, python, form, torch_index: see `Options`.
        options: region, profile, endpoint_url, access_key_id, secret_access_key, session_token; what is
            left out is boto3's (see `AwsOptions`).

    Raises:
        SpecError: an option has a value that SageMaker doesn't know.
    """

    target: ClassVar[str] = "sagemaker"
    autoscaling: ClassVar[Mapping[str, Mapped]] = AUTOSCALING

    @staticmethod
    def embedded(cloud: Embedded, region: str | None) -> Mapping[str, Any]:
        """Options with which it reaches the embedded cloud, whose registry has stand-ins for base images."""
        return {**embedded(cloud, region), "base_registry": cloud.url.partition("://")[2]}

    def __init__(
        self,
        *,
        bucket: str | None = None,
        transport: Transport | None = None,
        poll_s: float = POLL_S,
        retry_delay_s: float | None = None,
        image_packager: ImagePackager = packed_image,
        wire: Wire | None = None,
        package: PackageKind = "model-data",
        image: str | None = None,
        base_image: str | None = None,
        repository: str | None = None,
        base_registry: str | None = None,
        python: str = "3.13",
        form: Form = "onnx",
        torch_index: str | None = None,
        **options: Unpack[AwsOptions],
    ) -> None:
        self.aws = Aws(
            **options,
            transport=transport,
            # Where looks follow each other at once, as in tests, attempts do, too.
            retry_delay_s=min(0.3, poll_s) if retry_delay_s is None else retry_delay_s,
        )
        self._bucket, self._poll_s = bucket, poll_s
        reach = Reach(wire, min(0.5, poll_s) if retry_delay_s is None else retry_delay_s)
        self.packager = Packager(image_packager, reach)
        self._options = Options(
            package=package,
            image=image,
            base_image=base_image,
            repository=repository,
            base_registry=base_registry,
            python=python,
            form=form,
            torch_index=torch_index,
        )

    def check(self, deployment: Deployment) -> Sequence[Finding]:
        """What SageMaker makes of the wish."""
        return check(deployment, self._options)

    def preflight(self, deployment: Deployment) -> Sequence[str]:
        """Let pip try the requirements, so that what can't be installed fails here and not in the cloud."""
        from clouddeploy.packaging import check_requirements

        if self._options.builds_image:
            return ()  # its packages are found when it is packed
        return check_requirements([*deployment.model.requirements, *pins(deployment.model)])

    def compile(self, deployment: Deployment) -> Graph:
        """The resources of the deployment. One call: whether an endpoint of the name is there."""
        check(deployment, self._options)
        site = self._site(deployment.name, deployment.timeout_s)
        compiled = compile_deployment(site, deployment, self._options, self.packager)
        return Graph(
            compiled.resources,
            lambda: left_over(site, compiled, self.packager.reach, keep=deployment.keep_releases),
            S3Lock(site.survey, own_bucket=site.own_bucket),
            compiled.source.warnings,
        )

    def removal(self, name: str) -> Graph:
        """Everything of `name`, found by listing."""
        site = self._site(name)
        lock = S3Lock(site.survey, own_bucket=site.own_bucket, makes_bucket=False)
        return Graph((), lambda: everything(site, self.packager.reach), lock)

    def restore(self, name: str, release: str | None) -> Graph:
        """The endpoint with the endpoint config of a kept release."""
        site = self._site(name)
        wanted = self._before(site) if release is None else splitting.kept_release(site, release)
        splitting.running(site)
        return self._graph(site, restored(site, wanted), lambda: splitting.old_splits(site))

    def traffic(self, name: str) -> Mapping[str, int]:
        """Percent of the requests by release, from the variants' weights."""
        return splitting.shares_of(self._site(name))

    def split(self, name: str, shares: Mapping[str, int]) -> Graph:
        """An endpoint config with a variant for each release, and the endpoint on it."""
        site = self._site(name)
        found = splitting.parted(site, shares)
        besides = getattr(found[0], "name", "")
        return self._graph(site, found, lambda: splitting.old_splits(site, besides=besides))

    def rescale(self, name: str, autoscaling: Autoscaling) -> Graph:
        """Target, policy and schedules of what runs."""
        site = self._site(name)
        return self._graph(site, splitting.rescaled(site, autoscaling), lambda: scaling_of(site, ()))

    def _graph(
        self, site: Site, resources: tuple[Resource, ...], stale: Callable[[], Sequence[Resource]]
    ) -> Graph:
        return Graph(resources, stale, S3Lock(site.survey, own_bucket=site.own_bucket))

    def _before(self, site: Site) -> Release:
        config = names.main_of(str((site.seen or {}).get("EndpointConfigName", "")))
        found = find_releases(site, serving=config)
        others = [r for r in found if r.config != config]
        current = next((r for r in found if r.config == config), None)
        before = [r for r in others if current and r.created <= current.created]
        chosen = next(iter(before or others), None)
        if chosen is None:
            raise NotFound(
                f"{site.name!r} has no kept release before the serving one",
                why=f"kept: {', '.join(r.release(site.name) for r in found) or 'none'}",
                fix="deploy that model again, and set keep_releases to keep more",
            )
        return chosen

    def releases(self, name: str) -> Sequence[str]:
        """Digests of the kept releases, the serving one first, then newest first."""
        site = self._site(name)
        serving_config = str((site.seen or {}).get("EndpointConfigName", ""))
        return [r.release(name) for r in find_releases(site, serving=serving_config)]

    def costs(self, deployment: Deployment) -> Sequence[Cost]:
        """By list price."""
        return costs(deployment, self._options)

    def invoke(self, name: str, body: bytes, *, content_type: str, accept: str) -> Reply:
        """Send one request to the endpoint `name`, whoever made it."""
        return serving.invoke(self.aws, name, body, content_type=content_type, accept=accept)

    def status(self, name: str) -> Status:
        """How the endpoint `name` stands, whoever made it."""
        return serving.status_of(self.aws, name)

    def logs(self, name: str, *, since_s: float, limit: int) -> Iterator[str]:
        """The last log lines of all its machines."""
        return logs.tail(self.aws, names.log_group(name), since_s=since_s, limit=limit)

    def metrics(self, name: str, *, since_s: float) -> Mapping[str, float]:
        """Figures from CloudWatch."""
        return serving.metrics(self.aws, name, since_s=since_s)

    def deployments(self) -> Iterator[Summary]:
        """Every endpoint in the region with our tags."""
        for entry in self.aws.pages("sagemaker", "ListEndpoints", "Endpoints"):
            name = entry["EndpointName"]
            carried = tags_of(self.aws, entry["EndpointArn"])
            if tags.is_ours(carried, name):
                phase = serving.PHASES.get(entry["EndpointStatus"], "updating")
                created = entry["CreationTime"].isoformat() if entry.get("CreationTime") else ""
                yield Summary(name, self.target, phase, carried.get(tags.RELEASE, ""), created)

    def package(
        self, model: Model, out: Path, *, compression: Compression, architecture: Architecture = "x86_64"
    ) -> Path:
        """Write ``model.tar.gz``, or the folder of the uncompressed form, to `out`.

        Of an image that is built: an OCI archive, or the OCI layout as a folder.
        """
        from clouddeploy.packaging import sagemaker_artifact

        if self._options.builds_image:
            made = self.packager.image(
                model, architecture=architecture, options=self._options, reach=self.packager.reach
            )
            return write_package(made, out, as_folder=compression == "none")
        wanted = () if self._options.image else pins(model)
        return sagemaker_artifact(model, compression=compression, pins=wanted).write(out)

    def describe(self, name: str) -> Mapping[str, Any]:
        """Names, ARNs and URLs of what runs under `name`.

        Raises:
            NotFound: nothing does.
        """
        site = self._site(name)
        if site.seen is None:
            raise NotFound(
                f"nothing runs under {name!r} on SageMaker in {self.aws.region}", fix="deploy it first"
            )
        region = self.aws.region
        return {
            "account": self.aws.account,
            "region": region,
            "endpoint_name": name,
            "endpoint_arn": site.seen["EndpointArn"],
            "endpoint_config": site.seen.get("EndpointConfigName", ""),
            "url": f"https://runtime.sagemaker.{region}.amazonaws.com/endpoints/{name}/invocations",
            "log_group": names.log_group(name),
            "bucket": site.bucket,
        }

    def to_sagemaker(self, name: str) -> Any:
        """The endpoint as a ``sagemaker.core.resources.Endpoint`` of the SageMaker SDK."""
        return interop.to_sagemaker(self.aws, name)

    def adopt(self, name: str) -> None:
        """Take over an endpoint that was made by other means, so that deploys update it."""
        interop.adopt(self.aws, name)

    @staticmethod
    def permissions() -> Mapping[str, Any]:
        """An IAM policy document with all that one who deploys needs."""
        return deployer_policy()

    def _site(self, name: str, timeout_s: float = TIMEOUT_S) -> Site:
        return find_site(self.aws, name, bucket=self._bucket, poll_s=self._poll_s, timeout_s=timeout_s)
