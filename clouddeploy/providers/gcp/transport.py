"""Google Cloud behind one function: the only place that opens connections to it.

What lives here: sessions and Google's own transports, one of each kept. Retries and errors: `client`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from clouddeploy.providers.gcp import json_api, protobuf_api
from clouddeploy.providers.gcp.credentials import Credentials
from clouddeploy.providers.gcp.storage_media import Media, refuse

Transport = Callable[[str, str, Mapping[str, Any]], Any]
"""(service, method in the API's spelling, parameters as its JSON) -> the answer; raises as Google's
clients do."""

TIMEOUT_S = (10.0, 75.0)
"""To connect and to read."""
POOL_SIZE = 32


class GoogleTransport:
    """Calls Google Cloud, one attempt a call; safe to share between threads.

    Constructing it imports nothing, reads no credentials and makes no call.

    Args:
        credentials: whose calls these are.
        endpoint_url: where all the APIs answer instead of Google.
    """

    def __init__(self, credentials: Credentials, endpoint_url: str | None) -> None:
        self._credentials = credentials
        self._endpoint_url = endpoint_url.rstrip("/") if endpoint_url else None
        self._making = threading.RLock()
        self._clients: dict[str, Any] = {}
        self._session: Any = None
        self._media = Media(self.session, self._root("storage"))

    def __call__(self, service: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make one call, without any retry."""
        if service in protobuf_api.SERVICES:
            key, left = protobuf_api.transport_of(service, method, params)
            return protobuf_api.call(self._client(key), key, method, left)
        if service == "storage" and method in self._media.methods:
            return self._media.methods[method](params)
        return self._json(service, method, params)

    def session(self) -> Any:
        """A ``requests`` session that adds the credentials."""
        with self._making:
            if self._session is None:
                self._session = _session(self._credentials.get())
            return self._session

    def _json(self, service: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        asked = json_api.request(service, method, params)
        response = self.session().request(
            asked.verb,
            self._root(service) + asked.path,
            params=asked.query,
            json=asked.body,
            timeout=TIMEOUT_S,
        )
        refuse(response)
        found: dict[str, Any] = response.json() if response.content else {}
        return found

    def _root(self, service: str) -> str:
        return self._endpoint_url or f"https://{json_api.HOSTS[service]}"

    def _client(self, key: str) -> Any:
        with self._making:
            if key not in self._clients:
                credentials = self._credentials.get()
                self._clients[key] = protobuf_api.open_transport(key, credentials, self._endpoint_url)
            return self._clients[key]


def _session(credentials: Any) -> Any:
    from google.auth.transport.requests import AuthorizedSession
    from requests.adapters import HTTPAdapter

    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_connections=POOL_SIZE, pool_maxsize=POOL_SIZE, max_retries=0))
    return session
