"""boto3 behind one function: the only place that makes clients.

What lives here: clients, their timeouts and connection pools. Retries and errors: `client`.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Unpack

from clouddeploy.providers.aws.options import AwsOptions, refuse_unknown

Transport = Callable[[str, str, Mapping[str, Any]], Any]
"""(service, operation in the API's spelling, parameters) -> the answer; raises as boto3 does."""

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = {"lambda": 915}
"""Above the 900 seconds that a Lambda invocation may take (Lambda Developer Guide, "Lambda quotas")."""
USUAL_READ_TIMEOUT_S = 75
"""Above the 60 seconds that a SageMaker invocation may take (InvokeEndpoint, API reference)."""
POOL_SIZE = 32


def method_name(operation: str) -> str:
    """boto3's name of an API operation: ``ListObjectsV2`` -> ``list_objects_v2``."""
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", operation)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", spaced).lower()


class BotoTransport:
    """Calls AWS through boto3, one kept client a service; safe to share between threads.

    Constructing it imports nothing, reads no credentials and makes no call.
    """

    def __init__(self, **options: Unpack[AwsOptions]) -> None:
        refuse_unknown(options)
        self._session_options: dict[str, Any] = {
            "region_name": options.get("region"),
            "profile_name": options.get("profile"),
            "aws_access_key_id": options.get("access_key_id"),
            "aws_secret_access_key": options.get("secret_access_key"),
            "aws_session_token": options.get("session_token"),
        }
        self._endpoint_url = options.get("endpoint_url")
        self._making = threading.Lock()
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    def __call__(self, service: str, operation: str, params: Mapping[str, Any]) -> Any:
        """Make one call, without any retry."""
        return getattr(self._client(service), method_name(operation))(**params)

    def region(self) -> str | None:
        """The region that boto3 finds: given, else from the environment or the profile.

        Raises:
            botocore.exceptions.ProfileNotFound: there is no such profile.
        """
        given = self._session_options["region_name"]
        if given:
            return str(given)
        with self._making:
            found = self._open_session().region_name
        return str(found) if found else None

    def prepare(self, services: Iterable[str]) -> None:
        """Make the clients of `services` now, without a call: so that forked processes need not."""
        for service in services:
            self._client(service)

    def session(self) -> Any:
        """A ``boto3.Session`` whose clients reach the same API with the same credentials."""
        import boto3

        if not self._endpoint_url:
            with self._making:
                return self._open_session()
        # A session can't be told an endpoint, its clients can.
        redirected: Any = boto3.Session(**self._session_options)
        redirected.client = partial(redirected.client, endpoint_url=self._endpoint_url)
        return redirected

    def _open_session(self) -> Any:
        if self._session is None:
            import boto3

            self._session = boto3.Session(**self._session_options)
        return self._session

    def _client(self, service: str) -> Any:
        made = self._clients.get(service)
        if made is None:
            with self._making:
                made = self._clients.get(service)
                if made is None:
                    made = self._clients[service] = self._make(service)
        return made

    def _make(self, service: str) -> Any:
        from botocore.config import Config

        local = (
            self._endpoint_url or os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL_S3")
        )
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S.get(service, USUAL_READ_TIMEOUT_S),
            max_pool_connections=POOL_SIZE,
            tcp_keepalive=True,
            user_agent_extra="clouddeploy",
            # A bucket's own host name can't be looked up when the endpoint is a local address.
            s3={"addressing_style": "path"} if local else {},
        )
        return self._open_session().client(service, endpoint_url=self._endpoint_url, config=config)
