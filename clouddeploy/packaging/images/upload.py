"""Sending a blob: whole, or in parts where the registry takes them, so that a break costs one part.

Source: OCI Distribution Specification, "Pushing blobs" (POST then PUT; in chunks).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from clouddeploy.errors import CloudDeployError
from clouddeploy.packaging.images.blob import Blob
from clouddeploy.packaging.images.http import Answer, Broken, Slowed
from clouddeploy.packaging.images.refusal import check_digest

if TYPE_CHECKING:
    from clouddeploy.packaging.images.registry import Registry

DONE = (200, 201, 202, 204)
GONE = (404, 416)
OCTETS = "application/octet-stream"
Told = Callable[[int], None] | None


class _NoParts(Exception):
    """The registry doesn't take a blob in parts."""


class Uploads:
    """Sends blobs to one registry, and remembers whether it takes them in parts."""

    def __init__(self, registry: Registry, chunk_bytes: int | None) -> None:
        self._registry = registry
        self.chunk_bytes = chunk_bytes

    def send(self, repository: str, blob: Blob, where: str, told: Told = None) -> None:
        """Send `blob` to the upload `where`, or to further ones when that one breaks.

        Raises:
            Broken, Slowed: it broke each time.
            CloudError: the registry refused, or received other bytes.
        """
        retries = self._registry.client.retries
        failed, following = 0, where
        while True:
            try:
                return self._once(repository, blob, following, told)
            except _NoParts:
                self.chunk_bytes = None
            except (Broken, Slowed) as error:
                failed += 1
                if failed >= retries.attempts:
                    self._cancel(repository, following)
                    raise
                retries.back_off(failed, error)
                if self._registry.has_blob(repository, blob.digest):
                    return None  # it was the answer alone that got lost
            except BaseException:
                self._cancel(repository, following)
                raise
            self._cancel(repository, following)
            # A broken upload already holds some of the bytes; whole blobs need one of their own.
            following = self._registry.begin(repository)

    def _once(self, repository: str, blob: Blob, where: str, told: Told) -> None:
        scope = f"repository:{repository}:pull,push"
        sent = 0
        if self.chunk_bytes and blob.size > self.chunk_bytes:
            where = _Parts(self._registry, scope, blob, where, told).send(self.chunk_bytes)
            sent = blob.size
        length = blob.size - sent
        answer = self._registry.ask(
            "PUT",
            f"{where}{'&' if '?' in where else '?'}digest={quote(blob.digest)}",
            scope,
            headers={"Content-Type": OCTETS, "Content-Length": str(length)},
            body=lambda: blob.pieces(sent, blob.size, told) if length else [b""],
            ok=(*DONE, *GONE),
            attempts=1,
        )
        refuse_gone(answer)
        check_digest(answer, blob.digest, f"a blob for {self._registry.host}/{repository}")

    def _cancel(self, repository: str, where: str) -> None:
        """Take an unfinished upload away; registries also do that by themselves, after a while."""
        with contextlib.suppress(CloudDeployError):  # the error that led here is the one to tell
            scope = f"repository:{repository}:pull,push"
            self._registry.ask("DELETE", where, scope, ok=range(200, 500), attempts=1)


class _Parts:
    """One upload in parts: where it is, and how far."""

    def __init__(self, registry: Registry, scope: str, blob: Blob, where: str, told: Told) -> None:
        self._registry, self._scope, self._blob = registry, scope, blob
        self._where, self._told = where, told

    def send(self, chunk_bytes: int) -> str:
        """Send all bytes; returns where the upload is to be ended."""
        offset = failed = 0
        while offset < self._blob.size:
            try:
                offset = self._part(offset, min(offset + chunk_bytes, self._blob.size))
                failed = 0
            except (Broken, Slowed) as error:
                failed += 1
                if failed >= self._registry.client.retries.attempts:
                    raise
                self._registry.client.retries.back_off(failed, error)
                offset = self._held()
        return self._where

    def _part(self, start: int, stop: int) -> int:
        answer = self._registry.ask(
            "PATCH",
            self._where,
            self._scope,
            headers={
                "Content-Type": OCTETS,
                "Content-Length": str(stop - start),
                "Content-Range": f"{start}-{stop - 1}",
            },
            body=lambda: self._blob.pieces(start, stop, self._told),
            ok=range(200, 500),
            attempts=1,
        )
        if answer.status not in DONE:
            raise _NoParts
        self._where = self._registry.location(answer)
        end = _end(answer)
        if end is not None and end != stop:
            raise _NoParts  # it took less than was sent: what it holds can't be trusted
        return stop

    def _held(self) -> int:
        """How many bytes the registry has."""
        answer = self._registry.ask("GET", self._where, self._scope, ok=range(200, 500))
        end = _end(answer)
        if answer.status not in DONE or end is None:
            raise Broken(
                "an upload that broke can't be gone on with",
                why=f"asked for its state, the registry answered {answer.status}",
                fix="run it again",
                code="upload",
            )
        if answer.headers.get("Location"):
            self._where = self._registry.location(answer)
        return end


def refuse_gone(answer: Answer) -> None:
    """Raise when the upload isn't there any more, or holds what it shouldn't: a new one may do.

    Raises:
        Broken: it is so.
    """
    if answer.status in GONE:
        raise Broken(
            "an upload vanished before it was complete",
            why=answer.body[:200].decode("utf-8", "replace"),
            fix="run it again",
            code="upload",
        )


def _end(answer: Answer) -> int | None:
    """Bytes held, from ``Range: 0-<last>``; ``0-0`` is what registries say of nothing."""
    match = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
    if match is None:
        return None
    return int(match[1]) + 1 if int(match[1]) else 0
