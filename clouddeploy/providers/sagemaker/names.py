"""What each of a deployment's objects is called. Names follow from the wish and are never passed around."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clouddeploy.providers.aws import images
from clouddeploy.providers.aws.client import Aws
from clouddeploy.providers.aws.images import repository_name
from clouddeploy.spec import digest_of

LIMIT = 63
"""Characters of a model's, endpoint config's or endpoint's name (SageMaker API reference)."""
DIGITS = 10
"""Hex digits of the digest at a name's end."""
SPLIT_DIGITS = 6
ARTIFACT_DIGITS = images.DIGITS
VARIANT = "main"
OTHER = "release-"
"""What the names of further variants start with; the release's digest follows."""


def base(name: str) -> str:
    """What the names of `name`'s models and endpoint configs start with."""
    room = LIMIT - len(f"-{'0' * DIGITS}s{'0' * SPLIT_DIGITS}")
    return name if len(name) <= room else f"{name[: room - 9].rstrip('-')}-{digest_of(name)[:8]}"


def versioned(name: str, content: Mapping[str, Any]) -> str:
    """The name of a model or endpoint config with that content."""
    return f"{base(name)}-{digest_of(content)[:DIGITS]}"


def is_versioned(name: str, physical: str) -> bool:
    """Whether `physical` can be a model or an endpoint config of deployment `name`."""
    return re.fullmatch(rf"{re.escape(base(name))}-[0-9a-f]{{{DIGITS}}}", physical) is not None


def split(name: str, release: str, content: Mapping[str, Any]) -> str:
    """The name of an endpoint config in which `release` gets the most of the requests and others the rest."""
    return f"{base(name)}-{release}s{digest_of(content)[:SPLIT_DIGITS]}"


def is_split(name: str, config: str) -> bool:
    """Whether the endpoint config `config` shares the requests of deployment `name` between releases."""
    return config != main_of(config) and is_versioned(name, main_of(config))


def main_of(config: str) -> str:
    """The endpoint config of the release that gets the most of `config`'s requests."""
    return re.sub(rf"(?<=[0-9a-f]{{{DIGITS}}})s[0-9a-f]{{{SPLIT_DIGITS}}}$", "", config)


def release_of(name: str, config: str) -> str:
    """The release that an endpoint config stands for; empty when it isn't one of ours."""
    main = main_of(config)
    return main[-DIGITS:] if is_versioned(name, main) else ""


def artifact_prefix(name: str, digest: str) -> str:
    """Where an artifact lies in the bucket, with the closing slash."""
    return f"{name}/{digest[:ARTIFACT_DIGITS]}/"


def repository(name: str) -> str:
    """The repository in ECR that is made for a deployment's images."""
    return repository_name(name, "sagemaker")


def repository_arn(aws: Aws, name: str) -> str:
    """That repository's ARN."""
    return f"arn:{aws.partition}:ecr:{aws.region}:{aws.account}:repository/{repository(name)}"


def log_group(name: str) -> str:
    """Where SageMaker writes an endpoint's logs (Developer Guide, "CloudWatch logs for SageMaker AI")."""
    return f"/aws/sagemaker/Endpoints/{name}"


def alarm_prefix(name: str) -> str:
    """What the names of `name`'s alarms start with."""
    return f"clouddeploy-{name}-"


def alarm(name: str, metric: str) -> str:
    """The alarm on one metric."""
    return f"{alarm_prefix(name)}{metric.replace('_', '-')}"
