"""What a function is made of: a zip in the bucket, an image that is built and sent, or one that is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clouddeploy.engine.resource import Resource
from clouddeploy.model import Model
from clouddeploy.providers.aws.image import ImagePackage, Packed
from clouddeploy.providers.aws.image_source import base_of, image_source, write_package
from clouddeploy.providers.aws.images import Images, Reach, repository_name
from clouddeploy.providers.aws.tags import make_tags
from clouddeploy.providers.aws.upload import Written
from clouddeploy.providers.aws_lambda import names
from clouddeploy.providers.aws_lambda.code import Code
from clouddeploy.providers.aws_lambda.options import Options
from clouddeploy.providers.aws_lambda.site import Site
from clouddeploy.spec import Architecture, Deployment


class Package(Written, Protocol):
    """A model packed for Lambda as a zip."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the maker should know."""


class Packager(Protocol):
    """Packs a model as a zip for a Python version and an architecture."""

    def __call__(self, model: Model, *, python: str, architecture: str) -> Package:
        """The package; nothing is written yet."""


class ImagePackager(Protocol):
    """Packs a model as an image for a Python version and an architecture."""

    def __call__(
        self, model: Model, *, python: str, architecture: str, options: Options, reach: Reach
    ) -> ImagePackage:
        """The package; nothing is written or sent yet."""


@dataclass(frozen=True)
class Packagers:
    """Who packs models, and how registries are reached."""

    zip: Packager
    image: ImagePackager
    reach: Reach


@dataclass(frozen=True)
class Source:
    """What a function is made of.

    Args:
        code: the state of the function's code: a digest's 32 digits, or the URI of an image that is given.
        resources: what has to be there before the function is, each after what it needs.
        warnings: what the maker should know.
        images: where its image lies, when it is one of ours.
    """

    code: str
    resources: tuple[Resource, ...] = ()
    warnings: tuple[str, ...] = ()
    images: Images | None = None

    @property
    def digest(self) -> str:
        """The artifact's, 32 digits; empty for an image that is given."""
        return self.code if self.resources else ""

    @property
    def last(self) -> tuple[str, ...]:
        """The key of what the function needs, which needs all the rest; empty when that is nothing."""
        return tuple(r.key for r in self.resources[-1:])


def packed_image(
    model: Model, *, python: str, architecture: str, options: Options, reach: Reach
) -> ImagePackage:
    """`model` on AWS's base image for Lambda, or the one that the options name."""
    from clouddeploy.packaging.images.aws_lambda import lambda_base, lambda_files, lambda_image

    name = options.base_image or lambda_base(python)
    mirror = None if options.base_image else options.base_registry
    base = base_of(name, architecture=architecture, reach=reach, mirror=mirror)
    files = lambda_files(model, python=python, architecture=architecture)
    return Packed(lambda_image(base, files.members), files.warnings, files)


def source_of(
    site: Site, deployment: Deployment, options: Options, packagers: Packagers, needs: tuple[str, ...]
) -> Source:
    """What `deployment`'s function is made of. `needs` are keys of what must exist before all of it."""
    if options.image:
        return Source(options.image)
    architecture = deployment.compute.architecture
    if options.package == "zip":
        package = packagers.zip(deployment.model, python=options.python, architecture=architecture)
        code = Code(site, package.digest, package, needs)
        return Source(package.digest[: names.ARTIFACT_DIGITS], (code,), package.warnings)
    made = packagers.image(
        deployment.model,
        python=options.python,
        architecture=architecture,
        options=options,
        reach=packagers.reach,
    )
    found = image_source(
        site.survey,
        made,
        packagers.reach,
        own=repository_name(site.name),
        chosen=options.repository,
        tags=make_tags(deployment.tags, deployment.name),
        needs=needs,
    )
    return Source(found.image.digest, found.resources, made.warnings, found.image.images)


def write_image(
    packagers: Packagers,
    options: Options,
    model: Model,
    out: Path,
    architecture: Architecture,
    *,
    as_folder: bool,
) -> Path:
    """Write the image that would be sent to `out`: an OCI archive, or the OCI layout as a folder."""
    python, reach = options.python, packagers.reach
    made = packagers.image(model, python=python, architecture=architecture, options=options, reach=reach)
    return write_package(made, out, as_folder=as_folder)
