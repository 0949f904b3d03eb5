"""What is there of images and should not be, as the records in the bucket tell."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from clouddeploy.engine.resource import Resource
from clouddeploy.providers.aws.image import Image
from clouddeploy.providers.aws.image_record import ImageRecord, records
from clouddeploy.providers.aws.images import Images, Reach
from clouddeploy.providers.aws.repository import EcrRepository
from clouddeploy.providers.aws.survey import Survey


@dataclass(frozen=True)
class Remains:
    """Images that nothing needs any more.

    Args:
        records: what told of them, to be removed last.
        others: the images, and their repository when it is ours and nothing else is in it.
    """

    records: tuple[ImageRecord, ...] = ()
    others: tuple[Resource, ...] = ()

    @property
    def resources(self) -> tuple[Resource, ...]:
        """All of them."""
        return (*self.records, *self.others)


def stale_images(
    survey: Survey, reach: Reach, *, own: str, wanted: Collection[str] = (), into: str | None = None
) -> Remains:
    """The images of other digests than those `wanted`. Makes no call where the listing shows no record.

    Args:
        reach: how registries are reached.
        own: the repository that is made for the deployment.
        wanted: digests of which there is to be an image, 32 digits each.
        into: the repository that an image is to be put into.
    """
    found = records(survey)
    old = tuple(r for r in found if r.digest not in wanted)
    if not old:
        return Remains()
    used = {r.repository for r in found if r.digest in wanted} | {into}
    gone: list[Resource] = []
    if own in {r.repository for r in old} - used:
        keys = tuple(r.key for r in old)
        repository = EcrRepository(survey, Images(survey.aws, survey.name, own, reach), {}, keys)
        gone = [repository] if repository.is_ours() else []
    above = tuple(r.key for r in gone)
    images = [
        Image(survey, Images(survey.aws, survey.name, r.repository, reach), r.digest, needs=(*above, r.key))
        for r in old
    ]
    return Remains(old, (*gone, *images))
