"""A note in the bucket that an image is, or may be, in a repository.

It is written before the image's repository is made and removed after the image is: so the bucket's
listing, which tells of everything else of a deployment, tells of images too, and nothing has to be
looked for in ECR when there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clouddeploy.engine.resource import State
from clouddeploy.providers.aws.images import DIGITS
from clouddeploy.providers.aws.survey import Survey
from clouddeploy.providers.aws.upload import MISSING_OBJECT

FOLDER = "image/"


@dataclass(frozen=True)
class ImageRecord:
    """An empty object whose key tells the image's digest and its repository.

    Args:
        survey: the deployment's listing in the bucket.
        digest: of what the image is made of; 32 digits of it are enough.
        repository: the repository's name.
        needs: keys of what must exist before.
    """

    survey: Survey
    digest: str
    repository: str
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "image record"
    immutable: ClassVar[frozenset[str]] = frozenset({"digest", "repository"})

    @property
    def object_key(self) -> str:
        """Its key in the bucket."""
        return f"{self.survey.prefix}{self.digest[:DIGITS]}/{FOLDER}{self.repository}"

    @property
    def key(self) -> str:
        """``image-record/<digest>/<repository>``."""
        return f"image-record/{self.digest[:DIGITS]}/{self.repository}"

    @property
    def removal(self) -> str:
        """Removes it."""
        return f"aws s3 rm s3://{self.survey.bucket}/{self.object_key}"

    def desired(self) -> State:
        """Digest and repository say everything."""
        return {"digest": self.digest[:DIGITS], "repository": self.repository}

    def read(self) -> State | None:
        """Whether it is there: from the listing while that holds, else by a call."""
        survey = self.survey
        if not survey.spent:
            there = self.object_key in survey.objects()
        else:
            params = {"Bucket": survey.bucket, "Key": self.object_key}
            there = survey.aws.find("s3", "HeadObject", MISSING_OBJECT, **params) is not None
        return self.desired() if there else None

    def create(self, wish: State) -> None:
        """Write it."""
        self.survey.spend()
        self.survey.aws("s3", "PutObject", Bucket=self.survey.bucket, Key=self.object_key, Body=b"")

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes."""

    def delete(self) -> None:
        """Remove it."""
        self.survey.spend()
        self.survey.aws("s3", "DeleteObject", Bucket=self.survey.bucket, Key=self.object_key)


def records(survey: Survey) -> list[ImageRecord]:
    """The records that the bucket's listing shows, sorted."""
    found = []
    start = survey.prefix
    for key in sorted(survey.objects()):
        digest, slash, rest = key.removeprefix(start).partition(f"/{FOLDER}")
        if key.startswith(start) and slash and len(digest) == DIGITS:
            found.append(ImageRecord(survey, digest, rest))
    return found
