"""Container images without a daemon: a base image with our layers, as a folder or in a registry.

::

    registry = Registry("123456789012.dkr.ecr.eu-west-1.amazonaws.com", credentials=ecr_credentials(aws))
    base = Base.resolve(lambda_base("3.13"), architecture="arm64")
    image = lambda_image(base, artifact.members)
    image.digest                                        # known before any byte is written
    image.push(registry, "digits", "v1").reference      # …@sha256:…, what to deploy
    image.write(Path("digits-image"))                   # the OCI layout, for any other tool
"""

from clouddeploy.packaging.images.archive import write_archive
from clouddeploy.packaging.images.auth import Credentials
from clouddeploy.packaging.images.aws_lambda import LambdaFiles, lambda_base, lambda_files, lambda_image
from clouddeploy.packaging.images.base import Base
from clouddeploy.packaging.images.ecr import ecr_credentials
from clouddeploy.packaging.images.http import Retries
from clouddeploy.packaging.images.image import ImageArtifact
from clouddeploy.packaging.images.layer import Layer
from clouddeploy.packaging.images.layout import Layout
from clouddeploy.packaging.images.push import Pushed
from clouddeploy.packaging.images.reference import Reference
from clouddeploy.packaging.images.registry import Registry

__all__ = [
    "Base",
    "Credentials",
    "ImageArtifact",
    "LambdaFiles",
    "Layer",
    "Layout",
    "Pushed",
    "Reference",
    "Registry",
    "Retries",
    "ecr_credentials",
    "lambda_base",
    "lambda_files",
    "lambda_image",
    "write_archive",
]
