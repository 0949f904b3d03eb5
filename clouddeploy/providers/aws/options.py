"""Which account, region and API an AWS target talks to: options that every one of them takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from clouddeploy.providers import Embedded


class AwsOptions(TypedDict, total=False):
    """Where calls go, and as whom. What is left out or None is found by boto3's own chain.

    Keys:
        region: such as ``"eu-west-1"``.
        profile: section of the AWS config files.
        endpoint_url: where the APIs answer instead of AWS, such as the embedded cloud.
        access_key_id, secret_access_key, session_token: credentials.
    """

    region: str | None
    profile: str | None
    endpoint_url: str | None
    access_key_id: str | None
    secret_access_key: str | None
    session_token: str | None


def refuse_unknown(options: AwsOptions) -> None:
    """Fail as Python does for a keyword argument that there isn't.

    Raises:
        TypeError: names it.
    """
    unknown = sorted(options.keys() - AwsOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"unexpected options: {', '.join(unknown)}")


def embedded(cloud: Embedded, region: str | None) -> Mapping[str, Any]:
    """The options that lead to the embedded cloud."""
    return {
        "region": region or cloud.region,
        "endpoint_url": cloud.url,
        "access_key_id": cloud.access_key_id,
        "secret_access_key": cloud.secret_access_key,
    }
