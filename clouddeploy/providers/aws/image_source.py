"""What it takes to have an image of a release in Amazon ECR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clouddeploy.engine.resource import Resource
from clouddeploy.packaging.images.archive import write_archive
from clouddeploy.packaging.images.base import Base
from clouddeploy.providers.aws.image import Image, ImagePackage
from clouddeploy.providers.aws.image_record import ImageRecord
from clouddeploy.providers.aws.images import DIGITS, Images, Reach
from clouddeploy.providers.aws.repository import EcrRepository
from clouddeploy.providers.aws.survey import Survey
from clouddeploy.spec import digest_of


@dataclass(frozen=True)
class ImageSource:
    """An image, and what has to be there before it.

    Args:
        before: a note of it in the bucket; its repository, when that is made for the deployment.
        image: the image.
        repository_arn: the repository's ARN.
    """

    before: tuple[Resource, ...]
    image: Image
    repository_arn: str

    @property
    def resources(self) -> tuple[Resource, ...]:
        """All of it, each after what it needs."""
        return (*self.before, self.image)


def image_source(
    survey: Survey,
    made: ImagePackage,
    reach: Reach,
    *,
    own: str,
    chosen: str | None,
    tags: Mapping[str, str],
    needs: tuple[str, ...],
) -> ImageSource:
    """What sends `made` to ECR. Makes no call.

    Args:
        survey: the deployment's listing in the bucket.
        made: the packed model.
        reach: how registries are reached.
        own: the repository that is made for the deployment.
        chosen: an existing repository that the user named instead.
        tags: of the deployment's own repository.
        needs: keys of what must exist before all of it.
    """
    images = Images(survey.aws, survey.name, chosen or own, reach)
    # Moved to another repository it is another release: what serves it has another name.
    whole = digest_of([made.image.digest, chosen]) if chosen else made.image.digest
    digest = whole[:DIGITS]
    record = ImageRecord(survey, digest, images.repository, needs)
    repository = EcrRepository(survey, images, tags, (record.key,))
    before: tuple[Resource, ...] = (record,) if chosen else (record, repository)
    image = Image(survey, images, digest, made.image, (before[-1].key,))
    return ImageSource(before, image, repository.arn)


def base_of(name: str, *, architecture: str, reach: Reach, mirror: str | None = None) -> Base:
    """The base image `name`, from the registry `mirror` where one is given, which has it under that name."""
    from clouddeploy.packaging.images.base_lock import locked_base
    from clouddeploy.packaging.images.reference import Reference

    host = mirror or Reference.parse(name).host
    return locked_base(name, architecture=architecture, registry=reach.registry(host))


def write_package(made: ImagePackage, out: Path, *, as_folder: bool) -> Path:
    """Write the image that would be sent to `out`: an OCI archive, or the OCI layout as a folder.

    Both have OCI's media types, whatever is sent.
    """
    image = replace(made.image, family="oci")
    return image.write(out) if as_folder else write_archive(image, out)
