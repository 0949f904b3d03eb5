"""boto3 clients of the embedded cloud, for what it asks of itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Clients:
    """Made when first asked for, and kept.

    Args:
        url: tells where the embedded cloud answers.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._made: dict[tuple[str, str], Any] = {}
        self._session: Any = None
        # boto3's sessions make one client at a time.
        self._lock = threading.Lock()

    def get(self, region: str, service: str) -> Any:
        """The client of `service` in `region`."""
        with self._lock:
            if (region, service) not in self._made:
                self._made[region, service] = self._make(region, service)
            return self._made[region, service]

    def _make(self, region: str, service: str) -> Any:
        import boto3
        from botocore.config import Config

        self._session = self._session or boto3.session.Session()
        return self._session.client(
            service,
            region_name=region,
            endpoint_url=self._url(),
            aws_access_key_id="emulated",
            aws_secret_access_key="emulated",
            config=Config(
                retries={"total_max_attempts": 1}, read_timeout=600, s3={"addressing_style": "path"}
            ),
        )
