"""A deployment's container images: where they lie in Amazon ECR, and what they are called there.

An image's tag is the deployment's name and the digest of what the image is made of, so that a tag
always means the same, and is known before the image is. What lies in a repository is told by the
record of it in the bucket (see `image_record`), not by listing the account.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clouddeploy.engine.waiting import pause
from clouddeploy.errors import CloudError
from clouddeploy.packaging.images.ecr import ecr_credentials
from clouddeploy.packaging.images.http import Retries, Wire
from clouddeploy.packaging.images.reference import Reference
from clouddeploy.packaging.images.registry import Registry
from clouddeploy.providers.aws.client import Aws

NO_REPOSITORY = frozenset({"RepositoryNotFoundException"})
NO_IMAGE = frozenset({"ImageNotFoundException"}) | NO_REPOSITORY
NAMESPACE = "clouddeploy/"
DIGITS = 32
"""Hex digits of a digest in an image's tag, and in keys of the bucket."""
REPOSITORY = re.compile(
    r"(?=.{2,256}\Z)(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*", re.ASCII
)
"""CreateRepository (Amazon ECR API reference): ``repositoryName``."""
ATTEMPTS = 5
MOST_DELAY_S = 20.0


def repository_name(deployment: str, product: str = "") -> str:
    """The repository that is made for a deployment; `product` tells apart those of one name."""
    return f"{NAMESPACE}{product}/{deployment}" if product else f"{NAMESPACE}{deployment}"


@dataclass(frozen=True)
class Reach:
    """How registries are reached.

    Args:
        wire: sends the requests; None is the standard library's client.
        retry_delay_s: the first pause's upper bound before a request is sent again.
    """

    wire: Wire | None = None
    retry_delay_s: float = 0.5

    def registry(self, host: str, aws: Aws | None = None) -> Registry:
        """The registry at `host`; with `aws` it is ECR's, and its login is asked for there."""
        longest = MOST_DELAY_S if self.retry_delay_s else 0.0
        retries = Retries(ATTEMPTS, self.retry_delay_s, longest, pause)
        credentials = ecr_credentials(aws, hosts=(host,)) if aws is not None else None
        return Registry(host, credentials=credentials, retries=retries, wire=self.wire)


class Images:
    """The images of one deployment in one repository.

    Args:
        aws: the seam.
        deployment: its name.
        repository: the repository's name.
        reach: how its registry is reached.
    """

    def __init__(self, aws: Aws, deployment: str, repository: str, reach: Reach) -> None:
        self.aws, self.deployment, self.repository, self._reach = aws, deployment, repository, reach
        self._asking = threading.Lock()
        self._uri = ""

    def learn(self, described: Mapping[str, Any]) -> None:
        """Take the repository's URI from what ECR tells of it, which saves the call that asks for it."""
        self._uri = str(described["repositoryUri"])

    @property
    def place(self) -> Reference:
        """The repository's registry and its name there.

        Raises:
            CloudError: there is no such repository.
        """
        with self._asking:
            if not self._uri:
                names = [self.repository]
                found = self.aws("ecr", "DescribeRepositories", repositoryNames=names)
                self.learn(found["repositories"][0])
        return Reference.parse(self._uri)

    def registry(self) -> Registry:
        """Where the images are sent to."""
        return self._reach.registry(self.place.host, self.aws)

    def tag(self, digest: str) -> str:
        """What the image made of `digest` is called."""
        return f"{self.deployment}-{digest[:DIGITS]}"

    def find(self, digest: str) -> str | None:
        """The image's own digest, ``sha256:…``; None where there is no image made of `digest`."""
        found = self.aws.find("ecr", "DescribeImages", NO_IMAGE, **self._named(digest))
        details = (found or {}).get("imageDetails") or ()
        return str(details[0]["imageDigest"]) if details else None

    def _named(self, digest: str) -> dict[str, Any]:
        return {"repositoryName": self.repository, "imageIds": [{"imageTag": self.tag(digest)}]}

    def uri(self, digest: str) -> str:
        """What a release is made of: the image by its own digest.

        Raises:
            CloudError: it isn't there.
        """
        found = self.find(digest)
        if found is None:
            raise CloudError(
                f"repository {self.repository!r} has no image {self.tag(digest)!r}",
                why="it was removed by other means than clouddeploy",
                fix="deploy again, which sends it anew",
                code="ImageNotFoundException",
                operation="ecr.DescribeImages",
            )
        return self.named(found)

    def named(self, digest: str) -> str:
        """The URI of the image of that digest of its own."""
        place = self.place
        return f"{place.host}/{place.repository}@{digest}"

    def remove(self, digest: str) -> None:
        """Take the image away; one that isn't there is success.

        Raises:
            CloudError: ECR kept it.
        """
        answer = self.aws.find("ecr", "BatchDeleteImage", NO_REPOSITORY, **self._named(digest)) or {}
        kept = [f for f in answer.get("failures") or () if f.get("failureCode") != "ImageNotFound"]
        if kept:
            raise CloudError(
                f"ECR did not delete the image {self.tag(digest)!r} in repository {self.repository!r}",
                why=f"{kept[0].get('failureCode')}: {kept[0].get('failureReason')}",
                fix="remove what refers to it, then run it again",
                code=str(kept[0].get("failureCode", "")),
                operation="ecr.BatchDeleteImage",
            )
