"""The artifact in the bucket."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from clouddeploy.engine import events
from clouddeploy.engine.resource import State
from clouddeploy.errors import SpecError
from clouddeploy.packaging.artifact import Artifact, Form
from clouddeploy.providers.aws.upload import exists, marker, model_uri, remove, stored, upload
from clouddeploy.providers.sagemaker.names import artifact_prefix
from clouddeploy.providers.sagemaker.site import Site


@dataclass(frozen=True)
class ModelData:
    """The bytes that SageMaker unpacks into the container, under a prefix named by their digest.

    Args:
        site: where it lives.
        digest: the artifact's digest, or the 32 digits of it that the prefix shows.
        form: one archive, or the files as they are.
        artifact: what to send when it isn't there; None for one that is only kept or removed.
        needs: keys of what must exist before.
    """

    site: Site
    digest: str
    form: Form = "gzip"
    artifact: Artifact | None = None
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "model data"
    immutable: ClassVar[frozenset[str]] = frozenset({"digest"})

    @property
    def prefix(self) -> str:
        """Where it lies in the bucket."""
        return artifact_prefix(self.site.name, self.digest)

    @property
    def key(self) -> str:
        """``model-data/<bucket>/<prefix>``."""
        return f"model-data/{self.site.bucket}/{self.prefix.rstrip('/')}"

    @property
    def removal(self) -> str:
        """Removes every object of it."""
        return f"aws s3 rm --recursive s3://{self.site.bucket}/{self.prefix}"

    @property
    def uri(self) -> str:
        """What SageMaker is told."""
        return model_uri(self.site.bucket, self.prefix, self.form)

    def desired(self) -> State:
        """The digest says everything."""
        return {"digest": self.prefix.rstrip("/").rpartition("/")[2]}

    def read(self) -> State | None:
        """Whether all of it is there: from the listing while that holds, else by a call."""
        survey = self.site.survey
        if survey.spent and self.artifact is None:
            there = bool(self.prefix in stored(survey.aws, survey.bucket, f"{self.site.name}/"))
        elif survey.spent:
            there = exists(survey.aws, survey.bucket, self.prefix, self.form)
        else:
            there = marker(self.prefix, self.form) in survey.objects()
        return self.desired() if there else None

    def create(self, wish: State) -> None:
        """Build and send it; what is there already isn't sent again."""
        if self.artifact is None:
            raise SpecError(
                f"the artifact {self.digest[:10]} is gone from bucket {self.site.bucket!r}",
                why="a kept release is brought back from there, and isn't built anew",
                fix="deploy the model again",
            )
        self.site.survey.spend()
        upload(
            self.site.aws,
            self.site.bucket,
            self.prefix,
            self.artifact,
            report=partial(events.report, "sending"),
            building=partial(events.report, "packing"),
        )

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes: other bytes have another prefix."""

    def delete(self) -> None:
        """Remove its objects and unfinished uploads."""
        remove(self.site.aws, self.site.bucket, self.prefix)
