"""The image that a release is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Protocol

from clouddeploy.engine import events
from clouddeploy.engine.resource import State
from clouddeploy.engine.waiting import check_cancelled
from clouddeploy.errors import SpecError
from clouddeploy.packaging.images.image import ImageArtifact
from clouddeploy.providers.aws.images import DIGITS, Images
from clouddeploy.providers.aws.survey import Survey


class ImagePackage(Protocol):
    """A model packed as an image."""

    @property
    def image(self) -> ImageArtifact:
        """What is sent."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the maker should know."""


@dataclass(frozen=True)
class Packed:
    """A model packed as an image by clouddeploy."""

    image: ImageArtifact
    warnings: tuple[str, ...]
    origin: object = field(repr=False, compare=False, default=None)


@dataclass(frozen=True)
class Image:
    """An image under a tag that tells its digest, kept as long as a release is made of it.

    Args:
        survey: the deployment's listing in the bucket.
        images: where it lies.
        digest: of what it is made of, or the 32 digits of that which its tag shows.
        artifact: what to send when it isn't there; None for one that is only kept or removed.
        needs: keys of what must exist before.
    """

    survey: Survey
    images: Images
    digest: str
    artifact: ImageArtifact | None = None
    needs: tuple[str, ...] = ()
    kind: ClassVar[str] = "image"
    immutable: ClassVar[frozenset[str]] = frozenset({"digest"})

    @property
    def key(self) -> str:
        """``image/<repository>:<tag>``."""
        return f"image/{self.label}"

    @property
    def removal(self) -> str:
        """Removes it."""
        return (
            f"aws ecr batch-delete-image --repository-name {self.images.repository} "
            f"--image-ids imageTag={self.images.tag(self.digest)}"
        )

    @property
    def label(self) -> str:
        """Its repository and tag: what a release is said to be made of before the image has a name."""
        return f"{self.images.repository}:{self.images.tag(self.digest)}"

    @property
    def uri(self) -> str | None:
        """What a release is made of: the image by its own digest; None where it isn't there."""
        found = self.images.find(self.digest)
        return self.images.named(found) if found else None

    def desired(self) -> State:
        """The digest says everything."""
        return {"digest": self.digest[:DIGITS]}

    def read(self) -> State | None:
        """Whether it is there."""
        return self.desired() if self.images.find(self.digest) else None

    def create(self, wish: State) -> None:
        """Build and send it: layers first, what names them last. What is there already isn't sent again."""
        if self.artifact is None:
            raise SpecError(
                f"the image {self.images.tag(self.digest)!r} is gone from repository "
                f"{self.images.repository!r}",
                why="a kept release is brought back from there, and isn't built anew",
                fix="deploy the model again",
            )
        self.survey.spend()
        self.artifact.push(
            self.images.registry(),
            self.images.place.repository,
            self.images.tag(self.digest),
            report=partial(_told, "sending"),
            building=partial(_told, "packing"),
        )

    def update(self, actual: State, wish: State) -> None:
        """Nothing of it changes: another content has another tag."""

    def delete(self) -> None:
        """Remove it."""
        self.survey.spend()
        self.images.remove(self.digest)


def _told(what: str, done: int, total: int) -> None:
    """Sending waits for nothing that the engine knows, so it looks by itself whether it should give up."""
    check_cancelled()
    events.report(what, done, total)
