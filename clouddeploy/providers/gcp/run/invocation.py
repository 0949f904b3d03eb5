"""One request to a Cloud Run service over HTTP, with an identity token, and what its answer means."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from clouddeploy.errors import CloudDeployError, CredentialsError, InputError, NotFound, PredictionError
from clouddeploy.providers.gcp import faults
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.logs import last_lines
from clouddeploy.spec import Reply

REQUEST_LIMIT = 32 * 1024 * 1024
"""Bytes of a request over HTTP/1 (Cloud Run documentation, "Quotas and limits")."""
ATTEMPTS = 3
CONNECT_S = 10.0
READ_S = 3610.0
"""Above the hour that a request may take at most ("Request timeout for services")."""
BUSY = frozenset({429, 503})
"""No instance is free or can be started just now ("Troubleshoot Cloud Run issues")."""


class Caller:
    """Calls services by their own addresses. Keeps connections, and the addresses once they are known.

    Args:
        gcp: the seam, for tokens and for looking an address up.
    """

    def __init__(self, gcp: Gcp) -> None:
        self._gcp = gcp
        self._making = threading.Lock()
        self._session: Any = None
        self._addresses: dict[str, str] = {}

    def invoke(self, name: str, body: bytes, *, content_type: str, accept: str) -> Reply:
        """Send one request to service `name` (see `clouddeploy.providers.Provider.invoke`)."""
        if len(body) > REQUEST_LIMIT:
            raise _too_large(len(body))
        known = name in self._addresses
        answer = self._post(name, body, content_type, accept)
        if known and answer.status_code == 404:
            self._addresses.pop(name, None)  # the service was removed, or made anew elsewhere
            answer = self._post(name, body, content_type, accept)
        headers = {str(k).lower(): str(v) for k, v in answer.headers.items()}
        if answer.status_code >= 400:
            raise self._refused(name, answer.status_code, answer.content)
        return Reply(answer.content, headers.get("content-type", ""), headers)

    def address(self, name: str) -> str:
        """Where service `name` answers.

        Raises:
            NotFound: there is none.
        """
        if name not in self._addresses:
            full = f"{self._gcp.location}/services/{name}"
            found = self._gcp.find("run", "GetService", faults.MISSING, name=full)
            if found is None or not found.get("uri"):
                raise NotFound(
                    f"nothing runs under {name!r} in {self._gcp.region}",
                    why="no such service" if found is None else "it has no address yet",
                    fix="deploy it first",
                )
            self._addresses[name] = str(found["uri"])
        return self._addresses[name]

    def _post(self, name: str, body: bytes, content_type: str, accept: str) -> Any:
        url = self.address(name)
        headers = {
            "Authorization": f"Bearer {self._gcp.identity_token(url)}",
            "Content-Type": content_type,
            "Accept": accept,
        }
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._open().post(url, data=body, headers=headers, timeout=(CONNECT_S, READ_S))
            except Exception as error:
                if attempt == ATTEMPTS or not faults.is_lost(error):
                    raise faults.translate(error, "run", "Invoke") from error
            else:
                if answer.status_code not in BUSY or attempt == ATTEMPTS or _told(answer.content):
                    return answer
            self._gcp.back_off(attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _open(self) -> Any:
        with self._making:
            if self._session is None:
                import requests

                self._session = requests.Session()
            return self._session

    def _refused(self, name: str, status: int, body: bytes) -> CloudDeployError:
        told = _told(body)
        message = told.get("message") or body[:500].decode(errors="replace") or f"status {status}"
        if not told and status in (401, 403):
            return CredentialsError(
                f"the caller may not call service {name!r}",
                why=message,
                fix=f"grant it roles/run.invoker on the service: 'gcloud run services "
                f"add-iam-policy-binding {name} --region {self._gcp.region} --member=user:YOU "
                "--role=roles/run.invoker'",
            )
        if not told and status == 404:
            return NotFound(
                f"nothing answers under {name!r} in {self._gcp.region}", why=message, fix="deploy it first"
            )
        if status < 500 and status != 429:
            code = told.get("code") or "bad_input"
            return InputError(message, fix=told.get("fix", ""), code=code, status=status)
        return PredictionError(
            f"service {name!r} failed to predict: {message}",
            fix=told.get("fix") or "see the log lines, or its logs()",
            code=told.get("code") or "internal",
            operation="run.Invoke",
            status=status,
            log_tail=last_lines(self._gcp, name),
        )


def _told(body: bytes) -> Mapping[str, str]:
    """What our own wire contract's error says; nothing when the answer is the platform's."""
    try:
        found = json.loads(body)["error"]
        return {k: str(found.get(k) or "") for k in ("code", "message", "fix")}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _too_large(size: int) -> InputError:
    return InputError(
        f"the request has {size:,} bytes",
        why=f"Cloud Run takes {REQUEST_LIMIT:,} bytes (32 MiB) over HTTP/1 at the most",
        fix="send fewer examples or application/x-npy",
        code="too_large",
        status=413,
    )
