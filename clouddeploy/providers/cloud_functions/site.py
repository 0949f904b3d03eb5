"""Where one deployment lives: the project, region and bucket, and what was seen there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clouddeploy.errors import NameConflict
from clouddeploy.providers.cloud_functions import names
from clouddeploy.providers.gcp import labels
from clouddeploy.providers.gcp.bucket import bucket_name
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.faults import MISSING
from clouddeploy.providers.gcp.run.site import RunSite
from clouddeploy.providers.gcp.service_account import account_id
from clouddeploy.providers.gcp.survey import Survey


class FunctionService(RunSite):
    """The Cloud Run service under a function.

    Args:
        known_missing: there is no function, so there is no service either, until something changes.
    """

    def __init__(self, gcp: Gcp, name: str, *, poll_s: float, timeout_s: float, known_missing: bool) -> None:
        super().__init__(gcp, name, poll_s=poll_s, timeout_s=timeout_s)
        self._known_missing = known_missing

    def spend(self) -> None:
        """Something is about to change, so what was read no longer counts."""
        self._known_missing = False
        super().spend()

    def service(self) -> dict[str, Any] | None:
        """The service, or None when there is none."""
        return None if self._known_missing else super().service()


@dataclass(frozen=True)
class Site:
    """One deployment's surroundings.

    Args:
        gcp: the seam.
        name: the deployment, its function, and the Cloud Run service under it.
        survey: its listing in the bucket.
        own_bucket: the bucket is ours, not one that the user named.
        seen: what the first ``GetFunction`` answered; None when there was no function.
        run: the Cloud Run service under the function.
        generations: of objects that were sent through this object, by name.
        before: names of the revisions before the first change through this object, once there was one.
    """

    gcp: Gcp
    name: str
    survey: Survey
    own_bucket: bool
    seen: Mapping[str, Any] | None
    run: RunSite
    generations: dict[str, str] = field(default_factory=dict)
    before: list[frozenset[str]] = field(default_factory=list)

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.survey.bucket

    @property
    def poll_s(self) -> float:
        """Seconds between the first two looks at something that takes time."""
        return self.run.poll_s

    @property
    def timeout_s(self) -> float:
        """Seconds to wait for it at most."""
        return self.run.timeout_s

    @property
    def path(self) -> str:
        """The function's full name."""
        return f"{self.gcp.location}/functions/{self.name}"

    @property
    def account(self) -> str:
        """Id of the service account that is made when none is given."""
        return account_id("cloud-functions", self.gcp.region, self.name)

    @property
    def empty(self) -> bool:
        """No function was seen and the bucket holds nothing, so that its parts needn't be looked for."""
        return self.seen is None and self.survey.untouched

    def spend(self) -> None:
        """Something is about to change, so that what was read no longer counts."""
        self.survey.spend()
        self.run.spend()

    def find(self) -> dict[str, Any] | None:
        """The function as it is now; None when there is none.

        Raises:
            NameConflict: a function of that name isn't this deployment's.
        """
        found = self.gcp.find("functions", "GetFunction", MISSING, name=self.path)
        if found is not None:
            self.refuse_foreign(found)
        return found

    def refuse_foreign(self, found: Mapping[str, Any]) -> None:
        """Make sure that the function is ours.

        Raises:
            NameConflict: it isn't.
        """
        if is_ours(found, self.name):
            return
        fix = "deploy under another name, or remove it: gcloud functions delete"
        fix = f"{fix} {self.name} --region {self.gcp.region} --project {self.gcp.project}"
        if found.get("environment") == "GEN_1":
            raise NameConflict(
                f"function {self.name!r} exists and is of the first generation",
                why="the second generation can't take its place",
                fix=fix,
            )
        raise labels.conflict("function", self.name, found.get("labels"), self.name, fix)


def is_ours(found: Mapping[str, Any], name: str) -> bool:
    """Whether a function of the API is deployment `name`'s."""
    return found.get("environment") != "GEN_1" and labels.is_ours(found.get("labels"), name)


def find_site(gcp: Gcp, name: str, *, bucket: str | None, poll_s: float, timeout_s: float) -> Site:
    """Look whether a function is there: credentials, project, API and region are proved by it, too."""
    path = f"{gcp.location}/functions/{name}"
    seen = gcp.find("functions", "GetFunction", MISSING, name=path)
    chosen = bucket or bucket_name(gcp.project, gcp.region)
    survey = Survey(gcp, chosen, name, prefix=names.prefix(name), own=bucket is None)
    run = FunctionService(gcp, name, poll_s=poll_s, timeout_s=timeout_s, known_missing=seen is None)
    return Site(gcp, name, survey, bucket is None, seen, run)
