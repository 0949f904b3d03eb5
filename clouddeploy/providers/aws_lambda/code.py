"""The function's zip in the bucket."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from clouddeploy.engine import events
from clouddeploy.engine.resource import State
from clouddeploy.errors import SpecError
from clouddeploy.providers.aws.upload import MISSING_OBJECT, Written, remove, send_file, stored
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.site import Site


@dataclass(frozen=True)
class Code:
    """The zip under a prefix named by its digest, kept as long as a version or the function is made of it.

    Args:
        site: where it lives.
        digest: the artifact's digest, or the 32 digits of it that the prefix shows.
        artifact: what to send when it isn't there; None for one that is only kept or removed.
        needs: keys of what must exist before.
    """

    site: Site
    digest: str
    artifact: Written | None = None
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "code"
    immutable: ClassVar[frozenset[str]] = frozenset({"digest"})

    @property
    def prefix(self) -> str:
        """Where it lies in the bucket."""
        return names.code_prefix(self.site.name, self.digest)

    @property
    def object_key(self) -> str:
        """The zip's key in the bucket."""
        return self.prefix + names.ARCHIVE

    @property
    def key(self) -> str:
        """``code/<bucket>/<prefix>``."""
        return f"code/{self.site.bucket}/{self.prefix.rstrip('/')}"

    @property
    def removal(self) -> str:
        """Removes every object of it."""
        return f"aws s3 rm --recursive s3://{self.site.bucket}/{self.prefix}"

    def desired(self) -> State:
        """The digest says everything."""
        return {"digest": self.digest[: names.ARTIFACT_DIGITS]}

    def read(self) -> State | None:
        """Whether it is there: from the listing while that holds, else by a call."""
        survey = self.site.survey
        if not survey.spent:
            there = self.object_key in survey.objects()
        elif self.artifact is None:
            there = self.prefix in stored(survey.aws, survey.bucket, survey.prefix)
        else:
            params = {"Bucket": survey.bucket, "Key": self.object_key}
            there = survey.aws.find("s3", "HeadObject", MISSING_OBJECT, **params) is not None
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
        send_file(
            self.site.aws,
            self.site.bucket,
            self.object_key,
            self.artifact,
            report=partial(events.report, "sending"),
            building=partial(events.report, "packing"),
        )

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes: other bytes have another prefix."""

    def delete(self) -> None:
        """Remove its objects and unfinished uploads."""
        remove(self.site.aws, self.site.bucket, self.prefix)
