"""What the machines run: an inference image with model data, or a built image that holds the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from clouddeploy.engine.resource import Resource
from clouddeploy.model import Model
from clouddeploy.packaging import Artifact, sagemaker_artifact
from clouddeploy.providers.aws.image import Image, ImagePackage, Packed
from clouddeploy.providers.aws.image_source import base_of, image_source
from clouddeploy.providers.aws.images import Reach
from clouddeploy.providers.aws.tags import make_tags
from clouddeploy.providers.sagemaker import names, runtime
from clouddeploy.providers.sagemaker.check import is_serverless, machine
from clouddeploy.providers.sagemaker.images import image_uri, registry_arn, repositories
from clouddeploy.providers.sagemaker.instances import instance
from clouddeploy.providers.sagemaker.model_data import ModelData
from clouddeploy.providers.sagemaker.options import Options
from clouddeploy.providers.sagemaker.site import Site
from clouddeploy.spec import Architecture, Deployment


class ImagePackager(Protocol):
    """Packs a model as an image with clouddeploy's server."""

    def __call__(
        self, model: Model, *, architecture: Architecture, options: Options, reach: Reach
    ) -> ImagePackage:
        """The package; nothing is written or sent yet."""


@dataclass(frozen=True)
class Packager:
    """Who packs models as images, and how registries are reached."""

    image: ImagePackager
    reach: Reach


@dataclass(frozen=True)
class Source:
    """What a SageMaker model is made of.

    Args:
        image: the image's URI; of one that is built, its repository and tag.
        data: where the model data is, as `SageMakerModel.desired` has it; None when the image holds it.
        digest: the artifact's, 32 digits.
        resources: what has to be there before the model is, each after what it needs.
        repositories: ARNs of what the role pulls images from.
        warnings: what the maker should know.
        built: the image, when it is built.
    """

    image: str
    data: dict[str, str] | None
    digest: str
    resources: tuple[Resource, ...]
    repositories: tuple[str, ...]
    warnings: tuple[str, ...]
    built: Image | None = None

    @property
    def last(self) -> str:
        """The key of what needs all the rest."""
        return self.resources[-1].key

    def environment(self, deployment: Deployment) -> dict[str, str]:
        """The container's environment variables."""
        if self.built is None:
            return runtime.environment(deployment)
        return runtime.server_environment(deployment, single=is_serverless(deployment))


def packed_image(model: Model, *, architecture: Architecture, options: Options, reach: Reach) -> ImagePackage:
    """`model` with clouddeploy's server on Python's slim image, or the one that the options name.

    SageMaker refuses OCI's manifests, so it has Docker's media types.
    """
    from clouddeploy.packaging.images.server import server_base, server_files, server_image

    name = options.base_image or server_base(options.python)
    mirror = None if options.base_image else options.base_registry
    base = base_of(name, architecture=architecture, reach=reach, mirror=mirror)
    files = server_files(
        model,
        python=options.python,
        architecture=architecture,
        form=options.form,
        torch_index=options.torch_index,
    )
    image = replace(server_image(base, files.members), family="docker")
    return Packed(image, files.warnings, files)


def architecture_of(deployment: Deployment) -> Architecture:
    """Of the machines: their type says it; serverless inference runs on x86_64."""
    return "x86_64" if is_serverless(deployment) else instance(machine(deployment)).architecture


def artifact_of(deployment: Deployment, *, own_image: bool = False) -> Artifact:
    """The artifact that SageMaker loads for `deployment`."""
    pins = () if own_image else runtime.pins(deployment.model)
    compression = "gzip" if is_serverless(deployment) else deployment.compression
    return sagemaker_artifact(deployment.model, compression=compression, pins=pins)


def source_of(
    site: Site, deployment: Deployment, options: Options, packager: Packager, needs: tuple[str, ...]
) -> Source:
    """What `deployment` runs. Makes no call. `needs` are keys of what must exist before all of it."""
    if options.builds_image:
        return _built(site, deployment, options, packager, needs)
    artifact = artifact_of(deployment, own_image=options.image is not None)
    uri = options.image or _inference_image(site, deployment)
    data = ModelData(site, artifact.digest, artifact.form, artifact, needs)
    return Source(
        uri,
        {"uri": data.uri, "form": data.form},
        artifact.digest[: names.ARTIFACT_DIGITS],
        (data,),
        _pulled(site, registry_arn(uri, site.aws.partition)),
        artifact.warnings,
    )


def _built(
    site: Site, deployment: Deployment, options: Options, packager: Packager, needs: tuple[str, ...]
) -> Source:
    architecture, reach = architecture_of(deployment), packager.reach
    made = packager.image(deployment.model, architecture=architecture, options=options, reach=reach)
    found = image_source(
        site.survey,
        made,
        reach,
        own=names.repository(site.name),
        chosen=options.repository,
        tags=make_tags(deployment.tags, deployment.name),
        needs=needs,
    )
    image, pulled = found.image, _pulled(site, found.repository_arn)
    return Source(image.label, None, image.digest, found.resources, pulled, made.warnings, image)


def _inference_image(site: Site, deployment: Deployment) -> str:
    if is_serverless(deployment):
        return image_uri(site.aws.region, processor="cpu", architecture="x86_64")
    facts = instance(machine(deployment))
    return image_uri(site.aws.region, processor=facts.processor, architecture=facts.architecture)


def _pulled(site: Site, arn: str) -> tuple[str, ...]:
    """What the role may pull: from `arn`, and from where the images of kept releases can lie."""
    aws = site.aws
    kept = (*repositories(aws.region, aws.partition), names.repository_arn(aws, site.name))
    return tuple(dict.fromkeys((arn, *kept)))
