"""`Lambda`: the provider behind the target ``lambda``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Unpack

from clouddeploy.engine.finding import Cost, Finding, Mapped
from clouddeploy.errors import NotFound, SpecError
from clouddeploy.model import Model
from clouddeploy.packaging.images.http import Wire
from clouddeploy.providers import Embedded, Graph
from clouddeploy.providers.aws import logs, tags
from clouddeploy.providers.aws.client import Aws, Transport
from clouddeploy.providers.aws.images import Reach
from clouddeploy.providers.aws.lock import S3Lock
from clouddeploy.providers.aws.options import AwsOptions, embedded
from clouddeploy.providers.aws_lambda import names, serving, splitting
from clouddeploy.providers.aws_lambda.check import check
from clouddeploy.providers.aws_lambda.compiler import compile_deployment
from clouddeploy.providers.aws_lambda.concurrency import refuse_over_account, reserved
from clouddeploy.providers.aws_lambda.costs import costs
from clouddeploy.providers.aws_lambda.http_api import find_apis
from clouddeploy.providers.aws_lambda.invocation import invoke
from clouddeploy.providers.aws_lambda.mapping import AUTOSCALING
from clouddeploy.providers.aws_lambda.options import Options, PackageKind, Url
from clouddeploy.providers.aws_lambda.permissions import deployer_policy
from clouddeploy.providers.aws_lambda.releases import find_releases, serving_version
from clouddeploy.providers.aws_lambda.restoring import restored
from clouddeploy.providers.aws_lambda.scaling import kept_running
from clouddeploy.providers.aws_lambda.site import Site, find_site
from clouddeploy.providers.aws_lambda.source import (
    ImagePackager,
    Package,
    Packager,
    Packagers,
    packed_image,
    write_image,
)
from clouddeploy.providers.aws_lambda.stale import everything, left_over, scaling_left
from clouddeploy.providers.aws_lambda.url import find_url
from clouddeploy.spec import Architecture, Autoscaling, Compression, Deployment, Reply, Status, Summary

POLL_S = 1.0
TIMEOUT_S = 3600.0
"""Seconds that a removal or a rollback waits for the cloud."""


def packed(model: Model, *, python: str, architecture: str) -> Package:
    """`model` packed for Lambda by clouddeploy."""
    from clouddeploy.packaging.aws_lambda import lambda_artifact

    return lambda_artifact(model, python=python, architecture=architecture)


class Lambda:
    """Deploys to AWS Lambda. Constructing it makes no call and reads no credentials.

    Args:
        bucket: an existing bucket for the code; None makes one for account and region.
        transport: makes the calls instead of boto3.
        poll_s: seconds between the first two looks at what takes time.
        retry_delay_s: upper bound of the first pause before a call is tried again.
        packager: packs models instead of clouddeploy's own packager.
        image_packager: the same for images.
        wire: sends requests to image registries instead of the standard library's client.
        runtime, url, http_api, snap_start, on_failure, reserved_concurrency, retention_days, ephemeral_mb,
            image, package, base_image, repository, base_registry: see `Options`.
        options: region, profile, endpoint_url, access_key_id, secret_access_key, session_token; what is
            left out is boto3's (see `AwsOptions`).

    Raises:
        SpecError: an option has a value that Lambda doesn't know.
    """

    target: ClassVar[str] = "lambda"
    autoscaling: ClassVar[Mapping[str, Mapped]] = AUTOSCALING

    def __init__(
        self,
        *,
        bucket: str | None = None,
        transport: Transport | None = None,
        poll_s: float = POLL_S,
        retry_delay_s: float | None = None,
        packager: Packager = packed,
        image_packager: ImagePackager = packed_image,
        wire: Wire | None = None,
        runtime: str = "python3.13",
        url: Url | None = None,
        http_api: bool = False,
        snap_start: bool = False,
        on_failure: str | None = None,
        reserved_concurrency: int | None = None,
        retention_days: int = 14,
        ephemeral_mb: int = 512,
        image: str | None = None,
        package: PackageKind = "zip",
        base_image: str | None = None,
        repository: str | None = None,
        base_registry: str | None = None,
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
        self.packagers = Packagers(packager, image_packager, reach)
        self._options = Options(
            runtime=runtime,
            url=url or "iam",
            http_api=http_api,
            snap_start=snap_start,
            on_failure=on_failure,
            reserved_concurrency=reserved_concurrency,
            retention_days=retention_days,
            ephemeral_mb=ephemeral_mb,
            image=image,
            package=package,
            base_image=base_image,
            repository=repository,
            base_registry=base_registry,
        )

    @staticmethod
    def embedded(cloud: Embedded, region: str | None) -> Mapping[str, Any]:
        """Options with which it reaches the embedded cloud, whose registry has stand-ins for base images."""
        return {**embedded(cloud, region), "base_registry": cloud.url.partition("://")[2]}

    def check(self, deployment: Deployment) -> Sequence[Finding]:
        """What Lambda makes of the wish."""
        return check(deployment, self._options)

    def preflight(self, deployment: Deployment) -> Sequence[str]:
        """Look whether the account has the concurrency that the wish sets apart.

        Raises:
            SpecError: it hasn't.
        """
        wanted = max(reserved(deployment, self._options) or 0, kept_running(deployment.autoscaling))
        return refuse_over_account(self.aws, deployment.name, wanted)

    def compile(self, deployment: Deployment) -> Graph:
        """The resources of the deployment. One call: whether a function of the name is there."""
        check(deployment, self._options)
        site = self._site(deployment.name, deployment.timeout_s)
        if self._options.image and site.seen is not None:
            site.survey.spend()  # an image leaves nothing in the bucket that would tell of the rest
        compiled = compile_deployment(site, deployment, self._options, self.packagers)
        return Graph(
            compiled.resources,
            lambda: left_over(site, compiled, self.packagers.reach, keep=deployment.keep_releases),
            S3Lock(site.survey, own_bucket=site.own_bucket),
            compiled.warnings,
        )

    def removal(self, name: str) -> Graph:
        """Everything of `name`, found by listing."""
        site = self._site(name)
        lock = S3Lock(site.survey, own_bucket=site.own_bucket, makes_bucket=False)
        return Graph((), lambda: everything(site, self.packagers.reach), lock)

    def restore(self, name: str, release: str | None) -> Graph:
        """The alias on the version of a kept release."""
        site = self._site(name)
        return Graph(restored(site, release), tuple, S3Lock(site.survey, own_bucket=site.own_bucket))

    def traffic(self, name: str) -> Mapping[str, int]:
        """Percent of the requests by release, from the alias's weights."""
        return splitting.shares_of(self._site(name))

    def split(self, name: str, shares: Mapping[str, int]) -> Graph:
        """The alias with a weight for the second release."""
        site = self._site(name)
        return Graph(splitting.parted(site, shares), tuple, S3Lock(site.survey, own_bucket=site.own_bucket))

    def rescale(self, name: str, autoscaling: Autoscaling) -> Graph:
        """Copies kept running, their range, policy and schedules, of what runs."""
        site = self._site(name)
        found = splitting.rescaled(site, autoscaling)
        keys = {resource.key for resource in found}
        lock = S3Lock(site.survey, own_bucket=site.own_bucket)
        return Graph(found, lambda: scaling_left(site, keys), lock)

    def releases(self, name: str) -> Sequence[str]:
        """Digests of the kept releases, the serving one first, then newest first."""
        site = self._site(name)
        return [r.release for r in find_releases(site, serving=serving_version(site))]

    def costs(self, deployment: Deployment) -> Sequence[Cost]:
        """By list price."""
        return costs(deployment)

    def invoke(self, name: str, body: bytes, *, content_type: str, accept: str) -> Reply:
        """Send one request to the alias of function `name`."""
        return invoke(self.aws, name, body, content_type=content_type, accept=accept)

    def status(self, name: str) -> Status:
        """How the function `name` stands."""
        return serving.status_of(self.aws, name)

    def logs(self, name: str, *, since_s: float, limit: int) -> Iterator[str]:
        """The last log lines of all its copies."""
        return logs.tail(self.aws, names.log_group(name), since_s=since_s, limit=limit)

    def metrics(self, name: str, *, since_s: float) -> Mapping[str, float]:
        """Figures from CloudWatch."""
        return serving.metrics(self.aws, name, since_s=since_s)

    def deployments(self) -> Iterator[Summary]:
        """Every function in the region with our tags."""
        for entry in self._functions():
            name = entry["FunctionName"]
            carried = self.aws("lambda", "ListTags", Resource=entry["FunctionArn"]).get("Tags") or {}
            if tags.is_ours(carried, name):
                status = self.status(name)
                yield Summary(name, self.target, status.phase, status.release, entry.get("LastModified", ""))

    def _functions(self) -> Iterator[Mapping[str, Any]]:
        more: dict[str, str] = {}
        while True:
            page = self.aws("lambda", "ListFunctions", **more)
            yield from page.get("Functions", ())
            if not page.get("NextMarker"):
                return
            more = {"Marker": page["NextMarker"]}

    def package(
        self,
        model: Model,
        out: Path,
        *,
        compression: Compression = "auto",
        architecture: Architecture = "x86_64",
    ) -> Path:
        """Write the zip to `out`; or the image, as an OCI archive, or as a folder when uncompressed.

        Raises:
            SpecError: a finished image is deployed, so there is nothing to write.
        """
        if self._options.image:
            raise SpecError("an image is deployed, so there is nothing to package", fix="leave image out")
        if self._options.package == "image":
            return write_image(
                self.packagers, self._options, model, out, architecture, as_folder=compression == "none"
            )
        package = self.packagers.zip(model, python=self._options.python, architecture=architecture)
        return package.write(out)

    def describe(self, name: str) -> Mapping[str, Any]:
        """Names, ARNs and the URL of what runs under `name`.

        Raises:
            NotFound: nothing does.
        """
        site = self._site(name)
        if site.seen is None:
            raise NotFound(
                f"nothing runs under {name!r} on Lambda in {self.aws.region}", fix="deploy it first"
            )
        found = find_url(site) or {}
        return {
            "account": self.aws.account,
            "region": self.aws.region,
            "function_name": name,
            "function_arn": site.arn,
            "alias_arn": f"{site.arn}:{names.ALIAS}",
            "version": serving_version(site),
            "url": found.get("FunctionUrl", ""),
            "url_auth": found.get("AuthType", ""),
            "http_api": next((str(api.get("ApiEndpoint", "")) for api in find_apis(site)), ""),
            "log_group": names.log_group(name),
            "bucket": site.bucket,
        }

    @staticmethod
    def permissions() -> Mapping[str, Any]:
        """An IAM policy document with all that one who deploys needs."""
        return deployer_policy()

    def _site(self, name: str, timeout_s: float = TIMEOUT_S) -> Site:
        return find_site(self.aws, name, bucket=self._bucket, poll_s=self._poll_s, timeout_s=timeout_s)
