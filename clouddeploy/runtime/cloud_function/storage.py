"""Cloud Storage, as much as a function needs: read an object, write an object (JSON API v1).

``STORAGE_EMULATOR_HOST`` names another server, as for Google's own libraries; a token is then sent only
where a metadata server is named too.
"""

from __future__ import annotations

import errno
import http.client
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from clouddeploy.runtime.cloud_function.metadata import HOST, Metadata

if TYPE_CHECKING:
    from urllib.request import Request

EMULATOR = "STORAGE_EMULATOR_HOST"
ADDRESS = "https://storage.googleapis.com"
ATTEMPTS = 5
DELAY_S = 0.2
TIMEOUT_S = 60.0
PASSING = frozenset((408, 429, 500, 502, 503, 504))
"""Statuses that may be others the next time ("Cloud Storage: Retry strategy")."""
DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES))
"""What goes wrong where the content is put, not with the connection."""
_T = TypeVar("_T")


class StorageError(Exception):
    """Cloud Storage didn't do what was asked.

    Args:
        status: the HTTP status; 0 where there was no answer.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether another attempt may succeed."""
        return self.status == 0 or self.status in PASSING


@dataclass(frozen=True)
class Object:
    """An object, or with a `generation` one version of it."""

    bucket: str
    name: str
    generation: str = ""

    def __str__(self) -> str:
        return f"gs://{self.bucket}/{self.name}" + (f"#{self.generation}" if self.generation else "")


class Storage:
    """Cloud Storage.

    Args:
        address: of the API.
        token: gives an access token; None calls without.
        delay_s: before the second attempt; doubles with each.
        attempts: at the most.
    """

    def __init__(
        self,
        address: str = ADDRESS,
        token: Callable[[], str] | None = None,
        *,
        delay_s: float = DELAY_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._address = address.rstrip("/")
        self._token = token
        self._delay_s = delay_s
        self._attempts = attempts

    @classmethod
    def of(cls, environ: Mapping[str, str], metadata: Metadata) -> Storage:
        """The one that the variables name."""
        emulator = environ.get(EMULATOR)
        if not emulator:
            return cls(token=metadata.token)
        address = emulator if "://" in emulator else f"http://{emulator}"
        return cls(address, metadata.token if environ.get(HOST) else None)

    def read(self, wanted: Object, take: Callable[[IO[bytes]], _T]) -> _T:
        """What `take` makes of the content of `wanted`; it is called anew where the connection breaks.

        Raises:
            StorageError: it can't be had.
        """
        query = {"alt": "media"} | ({"generation": wanted.generation} if wanted.generation else {})
        where = f"/storage/v1/b/{quote(wanted.bucket, safe='')}/o/{quote(wanted.name, safe='')}"
        return self._retried(
            lambda: self._open(f"{where}?{urlencode(query)}", None, {}, lambda stream: _whole(stream, take)),
            f"{wanted} can't be read",
        )

    def write(self, target: Object, body: bytes, content_type: str, metadata: Mapping[str, str]) -> None:
        """Write `body` to `target`, over what may be there.

        Raises:
            StorageError: it can't be written.
        """
        facts = {"name": target.name, "contentType": content_type, "metadata": dict(metadata)}
        bound = secrets.token_hex(16)
        sent = (
            (
                f"--{bound}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{json.dumps(facts)}\r\n"
                f"--{bound}\r\ncontent-type: {content_type}\r\n\r\n"
            ).encode()
            + body
            + f"\r\n--{bound}--\r\n".encode()
        )
        where = f"/upload/storage/v1/b/{quote(target.bucket, safe='')}/o?uploadType=multipart"
        headers = {"content-type": f"multipart/related; boundary={bound}"}
        self._retried(
            lambda: self._open(where, sent, headers, lambda stream: stream.read()),
            f"{target} can't be written",
        )

    def _open(
        self, where: str, body: bytes | None, headers: Mapping[str, str], take: Callable[[Any], _T]
    ) -> _T:
        from urllib.error import HTTPError
        from urllib.request import Request, urlopen

        request: Request = Request(self._address + where, body, dict(headers))
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token()}")
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:
                return take(answer)
        except HTTPError as error:
            with error:
                text = error.read(2000).decode("utf-8", "replace")
            raise StorageError(f"{error.code}: {_reason(text)}", error.code) from error

    def _retried(self, act: Callable[[], _T], what: str) -> _T:
        for attempt in range(self._attempts):
            try:
                return act()
            except (StorageError, http.client.HTTPException, OSError, ValueError) as error:
                if getattr(error, "errno", None) in DISK:
                    raise
                found = error if isinstance(error, StorageError) else StorageError(_told(error))
                last = StorageError(f"{what}: {found}", found.status)
                if not found.passing:
                    raise last from error
            time.sleep(self._delay_s * 2**attempt if attempt + 1 < self._attempts else 0)
        raise last


def _whole(stream: Any, take: Callable[[IO[bytes]], _T]) -> _T:
    found = take(stream)
    if stream.length:  # http.client tells nobody when a body ends early
        raise ConnectionError(f"the connection ended {stream.length} bytes early")
    return found


def _reason(text: str) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return text.strip()[:300]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
