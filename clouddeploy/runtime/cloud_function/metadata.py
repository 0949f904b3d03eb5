"""The metadata server: who this is, and tokens to prove it ("Cloud Run: Container metadata server").

``GCE_METADATA_HOST`` names another, as for Google's own libraries (google-auth, ``_metadata``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

HOST = "GCE_METADATA_HOST"
DEFAULT_HOST = "metadata.google.internal"
TIMEOUT_S = 3.0
SPARE_S = 60.0
"""A token is not used for this long before it runs out."""
_ROOT = "computeMetadata/v1"


class Metadata:
    """A metadata server.

    Args:
        host: its name, with a port where it isn't 80.
    """

    def __init__(self, host: str = DEFAULT_HOST) -> None:
        self._host = host
        self._token = ""
        self._good_until = 0.0

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Metadata:
        """The one that the variables name."""
        return cls(environ.get(HOST) or DEFAULT_HOST)

    def token(self) -> str:
        """An access token of the function's service account; asked for again before it runs out.

        Raises:
            OSError: the server can't be reached.
            ValueError: it answers something else.
        """
        if not self._token or time.monotonic() > self._good_until:
            found: dict[str, Any] = json.loads(self._get("instance/service-accounts/default/token"))
            if not isinstance(found, dict) or not isinstance(found.get("access_token"), str):
                raise ValueError(f"the metadata server {self._host} answered without an access token")
            self._token = found["access_token"]
            self._good_until = time.monotonic() + float(found.get("expires_in", 0)) - SPARE_S
        return self._token

    def project(self) -> str:
        """The project's id; empty where the server can't be asked."""
        try:
            return self._get("project/project-id").decode()
        except (OSError, ValueError):
            return ""

    def _get(self, path: str) -> bytes:
        from urllib.request import ProxyHandler, Request, build_opener  # what few need costs cold starts time

        request = Request(f"http://{self._host}/{_ROOT}/{path}", headers={"Metadata-Flavor": "Google"})
        with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_S) as answer:  # never by a proxy
            body: bytes = answer.read()
        return body
