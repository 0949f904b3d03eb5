"""The seam through which every AWS call goes: retries, errors, and whose account it is.

Resources say ``aws("sagemaker", "CreateModel", ModelName=…)`` in the API's own spelling. A recorder or a
fault injector wraps the `Transport`; nothing ever patches boto3.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Unpack

from clouddeploy.engine.waiting import pause
from clouddeploy.errors import CloudDeployError
from clouddeploy.providers.aws import faults
from clouddeploy.providers.aws.options import AwsOptions
from clouddeploy.providers.aws.transport import BotoTransport, Transport

__all__ = ["Aws", "BotoTransport", "Transport"]

ATTEMPTS = 5
FIRST_DELAY_S = 0.3
MOST_DELAY_S = 20.0
TOKENS = (
    ("NextToken", ("NextToken",)),
    ("nextToken", ("nextToken",)),
    ("NextContinuationToken", ("ContinuationToken",)),
    ("NextKeyMarker", ("KeyMarker",)),
    ("Marker", ("Marker",)),
)


class Aws:
    """AWS as one callable. Constructing it reads no credentials and makes no call.

    Args:
        transport: makes the calls instead of boto3 (recorders, fault injectors, tests).
        retry_delay_s: the first pause's upper bound in seconds, doubled each time; 0 in tests.
        attempts: how often one call is tried at most.
        options: region, credentials and endpoint; see `AwsOptions`.

    Attributes:
        transport: what makes each attempt; may be wrapped after construction.
    """

    def __init__(
        self,
        *,
        transport: Transport | None = None,
        retry_delay_s: float = FIRST_DELAY_S,
        attempts: int = ATTEMPTS,
        **options: Unpack[AwsOptions],
    ) -> None:
        self._boto = BotoTransport(**options)
        self.transport: Transport = transport or self._boto
        self._retry_delay_s = retry_delay_s
        self._attempts = attempts
        self._asking = threading.Lock()
        self._account = ""

    @property
    def region(self) -> str:
        """The region that calls go to.

        Raises:
            CredentialsError: none is given and boto3 finds none, or the profile doesn't exist.
        """
        try:
            found = self._boto.region()
        except Exception as error:
            raise faults.translate(error, "sts", "GetCallerIdentity") from error
        if not found:
            raise faults.no_region()
        return found

    @property
    def account(self) -> str:
        """The account's twelve digits, asked once."""
        with self._asking:
            if not self._account:
                self._account = str(self("sts", "GetCallerIdentity")["Account"])
            return self._account

    def session(self) -> Any:
        """The ``boto3.Session`` with this seam's region and credentials, for other tools."""
        return self._boto.session()

    def learn_account(self, arn_or_text: str) -> None:
        """Take the account from an ARN of ours in an answer, which saves the call that asks for it."""
        parts = arn_or_text.partition("arn:")[2].split(":")
        if len(parts) > 3 and len(parts[3]) == 12 and parts[3].isdigit():
            self._account = self._account or parts[3]

    @property
    def partition(self) -> str:
        """First part of ARNs: ``aws``, ``aws-cn`` or ``aws-us-gov`` (AWS General Reference, "ARN format")."""
        heads = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
        return next((p for head, p in heads.items() if self.region.startswith(head)), "aws")

    def __call__(self, service: str, operation: str, /, **params: Any) -> dict[str, Any]:
        """Make a call and return its answer.

        Raises:
            CredentialsError: credentials, region or permission are lacking.
            Throttled, QuotaExceeded, CloudError: AWS refused it, or could not be reached.
        """
        return self.call(service, operation, params)

    def call(
        self, service: str, operation: str, params: Mapping[str, Any], *, attempts: int | None = None
    ) -> dict[str, Any]:
        """`__call__` with the parameters as a mapping and, if given, another number of attempts."""
        try:
            return self._try(service, operation, params, attempts or self._attempts)
        except Exception as error:
            ours = faults.translate(error, service, operation)
            if ours is error:
                raise
            raise ours from error

    def find(
        self, service: str, operation: str, missing: Collection[str], /, **params: Any
    ) -> dict[str, Any] | None:
        """The answer, or None when the error's code (or ``Code: start of message``) is in `missing`."""
        try:
            return self(service, operation, **params)
        except CloudDeployError as error:
            cause = error.__cause__
            if cause is not None and faults.matches(cause, missing):
                return None
            raise

    def pages(self, service: str, operation: str, items: str, /, **params: Any) -> Iterator[dict[str, Any]]:
        """Every entry under `items` in all pages of a listing."""
        while True:
            page = self(service, operation, **params)
            yield from page.get(items) or []
            following = next(((to, page[got]) for got, (to,) in TOKENS if page.get(got)), None)
            if following is None or page.get("IsTruncated") is False:
                return
            params[following[0]] = following[1]
            if page.get("NextUploadIdMarker"):
                params["UploadIdMarker"] = page["NextUploadIdMarker"]

    def _try(self, service: str, operation: str, params: Mapping[str, Any], attempts: int) -> dict[str, Any]:
        starts = {k: v.tell() for k, v in params.items() if hasattr(v, "seek") and hasattr(v, "tell")}
        for attempt in range(1, attempts + 1):
            try:
                answer: dict[str, Any] = self.transport(service, operation, params)
            except Exception as error:
                if attempt == attempts or not faults.is_passing(error):
                    raise
                for k, at in starts.items():
                    params[k].seek(at)
                self._back_off(attempt)
            else:
                return answer
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _back_off(self, attempt: int) -> None:
        longest = min(MOST_DELAY_S, self._retry_delay_s * 2.0 ** (attempt - 1))
        # Full jitter keeps many deployers that were throttled together from coming back together.
        pause(random.uniform(0, longest))
