"""The function's source in the bucket: a zip under a prefix named by its digest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol

from clouddeploy.engine import events
from clouddeploy.engine.resource import State
from clouddeploy.errors import NotFound
from clouddeploy.packaging.remote import RemoteModel
from clouddeploy.providers.cloud_functions import names
from clouddeploy.providers.cloud_functions.site import Site
from clouddeploy.providers.gcp.faults import MISSING
from clouddeploy.providers.gcp.survey import listing
from clouddeploy.providers.gcp.upload import Written, remove, send_written


class Package(Written, Protocol):
    """A model packed as a function's source."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the maker should know."""

    @property
    def remote(self) -> RemoteModel | None:
        """Weights that are not in it and must lie in the bucket."""

    def write_folder(self, out: Path) -> Path:
        """Write the same files to the new folder `out`."""


@dataclass(frozen=True)
class Source:
    """The zip, kept as long as the function is made of it.

    Args:
        site: where it lives.
        digest: the artifact's digest, or the 32 digits of it that the prefix shows.
        package: what to send when it isn't there; None for one that is only removed.
        needs: keys of what must exist before.
    """

    site: Site
    digest: str
    package: Package | None = None
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "source"
    immutable: ClassVar[frozenset[str]] = frozenset({"digest"})

    @property
    def prefix(self) -> str:
        """Where it lies in the bucket."""
        return names.source_prefix(self.site.name, self.digest)

    @property
    def object_name(self) -> str:
        """The zip's name in the bucket."""
        return names.source_object(self.site.name, self.digest)

    @property
    def key(self) -> str:
        """``source/<bucket>/<prefix>``."""
        return f"source/{self.site.bucket}/{self.prefix.rstrip('/')}"

    @property
    def removal(self) -> str:
        """Removes every object of it."""
        return f"gcloud storage rm --recursive gs://{self.site.bucket}/{self.prefix}"

    def desired(self) -> State:
        """The digest says everything."""
        return {"digest": self.digest[: names.ARTIFACT_DIGITS]}

    def read(self) -> State | None:
        """Whether it is there: from the listing while that holds, else by a call."""
        survey = self.site.survey
        found = survey.objects() if not survey.spent else listing(survey.gcp, survey.bucket, self.prefix)
        if found and self.object_name in found:
            self.site.generations[self.object_name] = found[self.object_name].generation
            return self.desired()
        # Parts of an upload that broke off count for one that is to be removed.
        rest = [name for name in found or () if name.startswith(self.prefix)]
        return self.desired() if rest and self.package is None else None

    def create(self, wish: State) -> None:
        """Pack and send it; what is there already isn't sent again."""
        if self.package is None:
            raise NotFound(
                f"the source {self.digest[:10]} is gone from bucket {self.site.bucket!r}",
                why="it isn't packed anew",
                fix="deploy the model again",
            )
        self.site.spend()
        sent = send_written(
            self.site.gcp,
            self.site.bucket,
            self.object_name,
            self.package,
            report=partial(events.report, "sending"),
            building=partial(events.report, "packing"),
        )
        self.site.generations[self.object_name] = sent

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes: other bytes have another prefix."""

    def delete(self) -> None:
        """Remove its objects."""
        self.site.survey.spend()
        remove(self.site.gcp, self.site.bucket, self.prefix)
        self.site.generations.pop(self.object_name, None)


def generation_of(site: Site, name: str) -> str:
    """The generation of an object of ours, so that just these bytes are deployed.

    Raises:
        NotFound: there is no such object.
    """
    known = site.generations.get(name)
    if known is None:
        found = site.gcp.find("storage", "GetObject", MISSING, bucket=site.bucket, object=name)
        if found is None:
            raise NotFound(
                f"the source {name!r} is gone from bucket {site.bucket!r}",
                why="a function is built from there, and isn't packed anew to be put back",
                fix="deploy the model again",
            )
        known = site.generations[name] = str(found["generation"])
    return known
