"""What is there of images and should not be, as the records in the bucket tell."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from clouddeploy.engine.resource import Resource
from clouddeploy.providers.aws_lambda.image import Image
from clouddeploy.providers.aws_lambda.image_record import ImageRecord, records
from clouddeploy.providers.aws_lambda.images import Images, Reach, repository_name
from clouddeploy.providers.aws_lambda.repository import EcrRepository
from clouddeploy.providers.aws_lambda.site import Site


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
    site: Site, reach: Reach, *, wanted: Collection[str] = (), into: str | None = None
) -> Remains:
    """The images of other digests than those `wanted`. Makes no call where the listing shows no record.

    Args:
        reach: how registries are reached.
        wanted: digests of which there is to be an image, 32 digits each.
        into: the repository that an image is to be put into.
    """
    found = records(site)
    old = tuple(r for r in found if r.digest not in wanted)
    if not old:
        return Remains()
    own = repository_name(site.name)
    used = {r.repository for r in found if r.digest in wanted} | {into}
    gone: list[Resource] = []
    if own in {r.repository for r in old} - used:
        keys = tuple(r.key for r in old)
        repository = EcrRepository(site, Images(site.aws, site.name, own, reach), {}, keys)
        gone = [repository] if repository.is_ours() else []
    above = tuple(r.key for r in gone)
    images = [
        Image(site, Images(site.aws, site.name, r.repository, reach), r.digest, needs=(*above, r.key))
        for r in old
    ]
    return Remains(old, (*gone, *images))
