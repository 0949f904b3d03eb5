"""Which of ECR's operations are answered here; the others are moto's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clouddeploy.emulator.call import Call
from clouddeploy.emulator.http.message import Response
from clouddeploy.emulator.registry import ecr

if TYPE_CHECKING:
    from clouddeploy.emulator.cloud import Cloud

ROUTES: dict[tuple[str, str], Callable[[Cloud, Call], Mapping[str, Any] | Response | None]] = {
    ("ecr", "GetAuthorizationToken"): ecr.authorize,
    ("ecr", "CreateRepository"): ecr.create,
    ("ecr", "DescribeRepositories"): ecr.describe,
    ("ecr", "DeleteRepository"): ecr.delete,
    ("ecr", "DescribeImages"): ecr.describe_images,
    ("ecr", "ListImages"): ecr.list_images,
    ("ecr", "BatchGetImage"): ecr.get_images,
    ("ecr", "BatchDeleteImage"): ecr.delete_images,
    ("ecr", "PutImage"): ecr.put_image,
    ("ecr", "BatchCheckLayerAvailability"): ecr.check_layers,
    ("ecr", "GetDownloadUrlForLayer"): ecr.not_by_call,
    ("ecr", "InitiateLayerUpload"): ecr.not_by_call,
    ("ecr", "UploadLayerPart"): ecr.not_by_call,
    ("ecr", "CompleteLayerUpload"): ecr.not_by_call,
}
