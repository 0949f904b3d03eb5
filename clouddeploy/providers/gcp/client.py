"""The seam through which every Google Cloud call goes: retries, errors, and whose project it is.

Resources say ``gcp("functions", "GetFunction", name=…)``: the API's method, its parameters and answers as
the JSON of its REST reference. A recorder or a fault injector wraps the `Transport`; nothing ever patches
Google's clients, which retry nothing here: this seam does.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Unpack

from clouddeploy.engine.waiting import pause
from clouddeploy.errors import CloudDeployError
from clouddeploy.providers.gcp.credentials import Credentials, find_region
from clouddeploy.providers.gcp.faults import MISSING, is_passing, matches, translate
from clouddeploy.providers.gcp.options import GcpOptions, refuse_unknown
from clouddeploy.providers.gcp.transport import GoogleTransport, Transport

__all__ = ["Gcp", "Transport"]

ATTEMPTS = 5
FIRST_DELAY_S = 0.3
MOST_DELAY_S = 20.0


class Gcp:
    """Google Cloud as one callable. Constructing it reads no credentials and makes no call.

    Args:
        transport: makes the calls instead of Google's clients (recorders, fault injectors, tests).
        retry_delay_s: the first pause's upper bound in seconds, doubled each time; 0 in tests.
        attempts: how often one call is tried at most.
        options: project, region, credentials and endpoint; see `GcpOptions`.

    Attributes:
        transport: what makes each attempt; may be wrapped after construction.
        endpoint_url: where the APIs answer instead of Google, or None.
    """

    def __init__(
        self,
        *,
        transport: Transport | None = None,
        retry_delay_s: float | None = None,
        attempts: int = ATTEMPTS,
        **options: Unpack[GcpOptions],
    ) -> None:
        refuse_unknown(options)
        self._region = options.get("region")
        self.endpoint_url = options.get("endpoint_url")
        self._credentials = Credentials(options.get("credentials"), options.get("project"))
        self.transport: Transport = transport or GoogleTransport(self._credentials, self.endpoint_url)
        self._retry_delay_s = FIRST_DELAY_S if retry_delay_s is None else retry_delay_s
        self._attempts = attempts

    @property
    def region(self) -> str:
        """The region, such as ``europe-west1``.

        Raises:
            SpecError: none is given.
        """
        return find_region(self._region)

    @property
    def project(self) -> str:
        """The project's id.

        Raises:
            CredentialsError: none is given, and the credentials name none or can't be found.
        """
        try:
            return self._credentials.project()
        except Exception as error:
            raise self._told(error, "auth", "Default") from error

    @property
    def location(self) -> str:
        """``projects/<project>/locations/<region>``, the parent of what is made in a region."""
        return f"projects/{self.project}/locations/{self.region}"

    def identity_token(self, audience: str) -> str:
        """The token with which `audience`, a service's URL, may be called.

        Raises:
            CredentialsError: there are no credentials, or none that can make one.
        """
        try:
            return self._credentials.identity_token(audience)
        except Exception as error:
            raise self._told(error, "auth", "IdentityToken") from error

    def access_token(self) -> str:
        """An OAuth token for other tools, such as a container registry's log-in.

        Raises:
            CredentialsError: there are no credentials.
        """
        try:
            return self._credentials.access_token()
        except Exception as error:
            raise self._told(error, "auth", "AccessToken") from error

    def __call__(self, service: str, method: str, /, **params: Any) -> dict[str, Any]:
        """Make a call and return its answer.

        Raises:
            CredentialsError: credentials, project, API or permission are lacking.
            Throttled, QuotaExceeded, CloudError: Google refused it, or could not be reached.
        """
        return self.call(service, method, params)

    def call(
        self, service: str, method: str, params: Mapping[str, Any], *, attempts: int | None = None
    ) -> dict[str, Any]:
        """`__call__` with the parameters as a mapping and, if given, another number of attempts."""
        try:
            return self._try(service, method, params, attempts or self._attempts)
        except Exception as error:
            ours = self._told(error, service, method)
            if ours is error:
                raise
            raise ours from error

    def find(
        self, service: str, method: str, missing: Collection[str] = MISSING, /, **params: Any
    ) -> dict[str, Any] | None:
        """The answer, or None when the error has one of the codes in `missing` (see `faults.codes_of`)."""
        try:
            return self(service, method, **params)
        except CloudDeployError as error:
            if matches(error, missing):
                return None
            raise

    def pages(self, service: str, method: str, items: str, /, **params: Any) -> Iterator[dict[str, Any]]:
        """Every entry under `items` in all pages of a listing."""
        while True:
            page = self(service, method, **params)
            yield from page.get(items) or []
            if not page.get("nextPageToken"):
                return
            params["pageToken"] = page["nextPageToken"]

    def _told(self, error: Exception, service: str, method: str) -> CloudDeployError:
        return translate(error, service, method)

    def _try(self, service: str, method: str, params: Mapping[str, Any], attempts: int) -> dict[str, Any]:
        starts = {k: v.tell() for k, v in params.items() if hasattr(v, "seek") and hasattr(v, "tell")}
        for attempt in range(1, attempts + 1):
            try:
                answer: dict[str, Any] = self.transport(service, method, params)
            except Exception as error:
                if attempt == attempts or not is_passing(error):
                    raise
                for k, at in starts.items():
                    params[k].seek(at)
                self.back_off(attempt)
            else:
                return answer
        raise AssertionError("unreachable: the last attempt returns or raises")

    def back_off(self, attempt: int) -> None:
        """Pause before the attempt after `attempt`, for longer each time."""
        longest = min(MOST_DELAY_S, self._retry_delay_s * 2.0 ** (attempt - 1))
        # Full jitter keeps many deployers that were throttled together from coming back together.
        pause(random.uniform(0, longest))
