"""Logging in to Amazon ECR through whatever makes AWS calls."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Protocol

from clouddeploy.errors import CloudError
from clouddeploy.packaging.images.auth import Credentials
from clouddeploy.packaging.images.reference import ECR


class Seam(Protocol):
    """Makes an AWS call: ``aws("ecr", "GetAuthorizationToken")``."""

    def __call__(self, service: str, operation: str, /, **params: Any) -> Mapping[str, Any]:
        """The call's answer."""


def ecr_credentials(aws: Seam, *, hosts: tuple[str, ...] = ()) -> Credentials:
    """Credentials for the private ECR registries that `aws` has access to; anonymous elsewhere.

    The token is good for twelve hours (ECR API Reference, GetAuthorizationToken); a `Registry` keeps
    it, and asks again when it is refused.

    Args:
        aws: makes the call, in its own region.
        hosts: further host names that are ECR's, such as an emulator's.
    """

    def for_host(host: str) -> tuple[str, str] | None:
        if not ECR.match(host) and host not in hosts:
            return None
        data = aws("ecr", "GetAuthorizationToken").get("authorizationData") or [{}]
        try:
            user, colon, password = b64decode(data[0].get("authorizationToken") or "").decode().partition(":")
        except ValueError:
            user, colon, password = "", "", ""
        if not colon:
            raise CloudError(
                "Amazon ECR answered without a usable token",
                why="authorizationToken isn't 'user:password' in base64",
                fix="run it again; if it stays so, check what answers at the endpoint of ecr",
                operation="ecr.GetAuthorizationToken",
            )
        return user, password

    return for_host
