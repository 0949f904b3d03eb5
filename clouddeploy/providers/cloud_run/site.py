"""Where one deployment lives: the project, region, bucket and registry, and what was seen there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from clouddeploy.packaging.images import Registry
from clouddeploy.providers.cloud_run import names
from clouddeploy.providers.gcp import labels
from clouddeploy.providers.gcp.bucket import bucket_name
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.run.site import RunSite
from clouddeploy.providers.gcp.survey import Survey

REGISTRY_USER = "oauth2accesstoken"
"""Artifact Registry documentation, "Configure authentication to Artifact Registry for Docker"."""


class RunSurvey(Survey):
    """The listing of a deployment whose only object is the lock, which comes first and goes last.

    Args:
        gcp, bucket, name, own: as for `Survey`.
        run: the service.
    """

    def __init__(self, gcp: Gcp, bucket: str, name: str, *, own: bool, run: RunSite) -> None:
        super().__init__(gcp, bucket, name, prefix=names.prefix(name), own=own)
        self._run = run

    @property
    def fresh(self) -> bool:
        """There is neither lock nor service, so that nothing else needs to be looked for."""
        return self.untouched and self._run.service() is None


@dataclass(frozen=True)
class Site:
    """One deployment's surroundings.

    Args:
        gcp: the seam.
        name: the deployment, and its service.
        survey: its listing in the bucket, which holds the lock and nothing else.
        run: the service.
        repository: id of the Artifact Registry repository.
        own_repository: it is ours to make and to remove.
    """

    gcp: Gcp
    name: str
    survey: RunSurvey
    run: RunSite
    repository: str
    own_repository: bool

    @property
    def empty(self) -> bool:
        """Nothing of the deployment was there (see `RunSurvey`)."""
        return self.survey.fresh

    def spend(self) -> None:
        """Something is about to change, so that what was read no longer counts."""
        self.survey.spend()
        self.run.spend()

    @property
    def repository_name(self) -> str:
        """The repository's full name."""
        return f"{self.gcp.location}/repositories/{self.repository}"

    @property
    def package_name(self) -> str:
        """Full name of what holds the deployment's images."""
        return f"{self.repository_name}/packages/{self.name}"

    @property
    def path(self) -> str:
        """The images' place in the registry: project, repository, name."""
        return f"{self.gcp.project.replace(':', '/')}/{self.repository}/{self.name}"

    def registry(self) -> Registry:
        """The registry, with the credentials of the seam."""
        return open_registry(self.gcp, registry_host(self.gcp))


def registry_host(gcp: Gcp) -> str:
    """``<region>-docker.pkg.dev``, or where the APIs answer instead of Google."""
    return urlsplit(gcp.endpoint_url).netloc if gcp.endpoint_url else f"{gcp.region}-docker.pkg.dev"


def open_registry(gcp: Gcp, host: str) -> Registry:
    """The registry `host`; Google's get the seam's access token, others nothing."""
    ours = host == registry_host(gcp) or host.endswith((".pkg.dev", ".gcr.io")) or host == "gcr.io"

    def credentials(_: str) -> tuple[str, str] | None:
        return (REGISTRY_USER, gcp.access_token()) if ours else None

    return Registry(host, credentials=credentials)


def find_site(
    gcp: Gcp, name: str, *, bucket: str | None, repository: str | None, poll_s: float, timeout_s: float
) -> Site:
    """Look whether a service is there: credentials, project, API and region are proved by it, too."""
    chosen = bucket or bucket_name(gcp.project, gcp.region)
    run = RunSite(gcp, name, poll_s=poll_s, timeout_s=timeout_s)
    survey = RunSurvey(gcp, chosen, name, own=bucket is None, run=run)
    run.service()
    return Site(gcp, name, survey, run, repository or names.REPOSITORY, repository is None)


def is_ours(found: Mapping[str, Any], name: str) -> bool:
    """Whether a service of the API is deployment `name`'s, and no function's."""
    carried = found.get("labels") or {}
    return labels.is_ours(carried, name) and carried.get(names.TARGET_LABEL) == names.TARGET


def refuse_foreign(site: Site) -> None:
    """Make sure that the service, if there is one, is ours.

    Raises:
        NameConflict: it isn't.
    """
    found = site.run.service()
    if found is not None and not is_ours(found, site.name):
        fix = (
            f"deploy under another name, or remove it: gcloud run services delete {site.name} "
            f"--region {site.gcp.region} --project {site.gcp.project}"
        )
        raise labels.conflict("service", site.name, found.get("labels"), site.name, fix)
