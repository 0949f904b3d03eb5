"""Registry requests as calls of a seam, so that whatever records or breaks calls does it to them, too.

provider = Lambda(package="image", wire=wire_through(Faulty(transport_of(urllib_wire()), at=3)))
"""

from __future__ import annotations

import io
import re
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any, Self
from urllib.parse import urlsplit

from clouddeploy.packaging.images.http import Wire
from clouddeploy.testing.faults import Transport

SERVICE = "registry"
STATUS = {"AccessDeniedException": 403, "ThrottlingException": 429, "InternalFailure": 500}
KINDS = ("blobs/uploads", "blobs", "manifests", "tags")


class Reply:
    """An answer that has come completely."""

    def __init__(self, url: str, status: int, headers: Message, body: bytes) -> None:
        self.url, self.status, self.headers = url, status, headers
        self.length: int | None = 0
        self._body = io.BytesIO(body)

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        return self._body.read(size)

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def transport_of(wire: Wire) -> Transport:
    """Sends what `wire_through` makes of requests."""

    def call(_service: str, _operation: str, params: Mapping[str, Any]) -> Any:
        with wire(params["request"], params["timeout_s"]) as response:
            return Reply(response.url, response.status, response.headers, response.read())

    return call


def wire_through(transport: Transport) -> Wire:
    """A wire whose requests are calls of `transport`: service ``registry``, operation ``PUT blobs/uploads``.

    The refusals of `clouddeploy.testing.faults` become answers with their status.
    """

    def send(request: urllib.request.Request, timeout_s: float) -> Any:
        from botocore.exceptions import ClientError

        parts = urlsplit(request.full_url)
        kind = next((kind for kind in KINDS if f"/{kind}/" in parts.path), "ping")
        # An upload has another address each time, and is the same call all the same.
        address = re.sub(r"/uploads/[^/?]+", "/uploads/*", f"{parts.path}?{parts.query}")
        params = {"address": address, "request": request, "timeout_s": timeout_s}
        try:
            return transport(SERVICE, f"{request.get_method()} {kind}", params)
        except ClientError as error:
            status = STATUS[error.response["Error"]["Code"]]
            return Reply(request.full_url, status, Message(), b'{"errors": [{"code": "INJECTED"}]}')

    return send
