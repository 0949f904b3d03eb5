"""Which image of the embedded registry a container definition names.

Images elsewhere, AWS's own among them, stand for the PyTorch inference image (see `plane.toolkit`).
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.backends import roles
from clouddeploy.emulator.call import Refused
from clouddeploy.emulator.registry import StoredImage, ecr
from clouddeploy.emulator.sagemaker.roles import allows
from clouddeploy.emulator.settings import ACCOUNT

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

GRAVITON = re.compile(r"ml\.[a-z]+\d+g[a-z]*\.")
PULLING = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability")
DOCKER = "application/vnd.docker.distribution.manifest.v"
"""SageMaker takes Docker's manifests, none of OCI's (github.com/aws/amazon-sagemaker-feedback/issues/180)."""
LOGGING_IN = "ecr:GetAuthorizationToken"


def find(cloud: Cloud, region: str, uri: str) -> StoredImage | None:
    """The image that `uri` names; None when it lies elsewhere.

    Raises:
        Refused: the embedded registry is meant, and hasn't got it.
    """
    if not ecr.is_own(cloud, uri):
        return None
    place = ecr.locate(cloud, region, uri)
    found = cloud.registry.repository(place[0]).find(place[1]) if place else None
    if place is None or found is None:
        raise Refused(f"Requested image {uri} not found.")
    image = cloud.registry.image(place[0], found.digest)
    if image is None or not found.media_type.startswith(DOCKER):
        raise Refused(
            f"Unsupported manifest media type {found.media_type} for image {uri}. Ensure that valid manifest "
            "media type is used for specified image."
        )
    return image


def may_pull(role: roles.Role, image: StoredImage) -> bool:
    """Whether the role's policies let SageMaker fetch the image.

    "CreateModel API: execution role permissions" (Amazon SageMaker Developer Guide).
    """
    region, _, name = image.repository.partition("/")
    arn = f"arn:aws:ecr:{region}:{ACCOUNT}:repository/{name}"
    return allows(role, LOGGING_IN, "*") and all(allows(role, action, arn) for action in PULLING)


def fits(image: StoredImage, instance_type: str) -> bool:
    """Whether machines of that type have the image's architecture; serverless inference has x86_64."""
    is_arm = GRAVITON.match(instance_type) is not None
    return image.architecture == ("arm64" if is_arm else "x86_64")


def described(cloud: Cloud, region: str, uri: str) -> dict[str, Any]:
    """DeployedImage, as DescribeEndpoint tells it: the URI with a digest in place of a tag."""
    place = ecr.locate(cloud, region, uri)
    found = cloud.registry.repository(place[0]).find(place[1]) if place else None
    there = ecr.resolved(uri, found.digest) if found else uri
    return {"SpecifiedImage": uri, "ResolvedImage": there, "ResolutionTime": time.time()}
