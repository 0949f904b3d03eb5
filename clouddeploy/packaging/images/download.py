"""Reading a blob piece by piece, and going on where a connection broke."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from clouddeploy.packaging.images.blob import CHUNK_BYTES
from clouddeploy.packaging.images.http import Broken, Slowed, refuse_passing, unreachable
from clouddeploy.packaging.images.media import Descriptor, damaged

if TYPE_CHECKING:
    from clouddeploy.packaging.images.registry import Registry

EXPIRED = (401, 403)
"""Of a token, or of the signature in an address that the registry redirected to."""


def download(
    registry: Registry,
    repository: str,
    wanted: Descriptor,
    sink: Callable[[bytes], None],
    told: Callable[[int], None] | None,
) -> None:
    """Give a blob's bytes to `sink`, in order; the caller checks their digest.

    Raises:
        Broken, Slowed: it broke, several times without a byte in between.
        CloudError: it isn't there, or has another size.
        CredentialsError: reading isn't allowed.
    """
    address = f"/v2/{repository}/blobs/{wanted.digest}"
    scope = f"repository:{repository}:pull"
    done = failed = 0
    while done < wanted.size:
        before = done
        registry.ask("HEAD", address, scope, ok=(200,))  # logs in, and tells what is wrong
        try:
            response = registry.stream(address, scope, {"Range": f"bytes={done}-"} if done else {})
        except (OSError, http.client.HTTPException) as error:
            trouble: Broken | Slowed = unreachable("GET", address, error)
        else:
            try:
                with response:
                    done = _take(response, wanted, done, sink, told)
                continue
            except _Stopped as stopped:
                done, trouble = stopped.done, unreachable("GET", response.url, stopped.cause)
            except (Broken, Slowed) as error:
                trouble = error
        failed = 1 if done > before else failed + 1
        if failed >= registry.client.retries.attempts:
            raise trouble
        registry.client.retries.back_off(failed, trouble)


class _Stopped(Exception):
    """The connection broke after `done` bytes of the blob."""

    def __init__(self, done: int, cause: Exception) -> None:
        super().__init__(done)
        self.done, self.cause = done, cause


def _take(
    response: Any,
    wanted: Descriptor,
    done: int,
    sink: Callable[[bytes], None],
    told: Callable[[int], None] | None,
) -> int:
    where = f"the blob {wanted.digest}"
    refuse_passing("GET", response.url, response.status, response.headers)
    if response.status in EXPIRED:
        raise _Stopped(done, PermissionError(f"it answered {response.status}"))
    if response.status not in (200, 206):
        raise damaged(where, f"GET answered {response.status}")
    skip = done if response.status == 200 else 0  # a server may ignore Range
    while True:
        try:
            piece = response.read(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _Stopped(done, error) from error
        if not piece:
            break
        fresh, skip = piece[skip:], max(0, skip - len(piece))
        done += len(fresh)
        if done > wanted.size:
            raise damaged(where, f"more than its {wanted.size:,} bytes came")
        sink(fresh)
        if told:
            told(done)
    if done < wanted.size:
        raise _Stopped(done, ConnectionError(f"it ended after {done:,} of {wanted.size:,} bytes"))
    return done
