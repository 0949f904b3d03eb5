"""A large object sent as several at once, which Cloud Storage then composes ("Parallel composite uploads").

Uploads by the XML API's multipart would be the other way: they know no preconditions, and leave parts
behind that no listing of objects shows ("XML API multipart uploads").
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from clouddeploy.errors import CloudError
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.content import Content, Hash
from clouddeploy.providers.gcp.faults import MISSING, MOVED, matches
from clouddeploy.providers.gcp.resumable import Piece, Target, is_same, send
from clouddeploy.providers.gcp.survey import Found, listing

MIB: Final = 1 << 20
MOST_PARTS: Final = 32
"""Objects that one request composes at most (Cloud Storage, "Quotas and limits")."""
LEAST_PART_BYTES: Final = 32 * MIB

ToldPart = Callable[[int, int], None]
"""Told the number of a part and how many of its bytes are sent."""


@dataclass(frozen=True)
class Part:
    """One of the objects that will be composed."""

    name: str
    generation: str


def part_bytes(size: int) -> int:
    """Bytes of each part, the last excepted: whole MiB, so many that 32 parts suffice."""
    least = -(-size // MOST_PARTS)
    return max(LEAST_PART_BYTES, -(-least // MIB) * MIB)


def part_name(name: str, number: int, count: int) -> str:
    """The name of a part: below the object's prefix, so that what removes that removes it too."""
    return f"{name}.part-{number + 1:02d}-of-{count:02d}"


def send_parts(
    target: Target, content: Content, told: ToldPart, *, threads: int, digest: Hash | None = None
) -> list[Part]:
    """Send the content as parts; those that are there from an interrupted run aren't sent again.

    Args:
        target: the object to be.
        content: its bytes.
        told: how far each part is.
        threads: parts sent at once.
        digest: fed with all bytes in order.
    """
    step = part_bytes(content.size)
    starts = range(0, content.size, step)
    names = [part_name(target.name, n, len(starts)) for n in range(len(starts))]
    there = listing(target.gcp, target.bucket, f"{target.name}.part-") or {}
    pool = ThreadPoolExecutor(threads, thread_name_prefix="gcs-upload")
    try:
        running = []
        for number, start in enumerate(starts):
            end = min(start + step, content.size)
            piece = Piece(content, start, end, content.crc32c(start, end, digest))
            part = replace(target, name=names[number])
            context = contextvars.copy_context()  # the engine's cancel and deadline reach the threads
            job = pool.submit(context.run, _part, part, piece, there.get(part.name), _told(told, number))
            running.append(job)
        return [job.result() for job in running]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def compose(target: Target, parts: list[Part], size: int, expected: str = "0") -> str:
    """Make the object of its parts, by their generations, and return its generation.

    Raises:
        CloudError: Cloud Storage refused it.
    """
    sources = [
        {
            "name": p.name,
            "objectPreconditions": {"ifGenerationMatch": p.generation},
            "generation": p.generation,
        }
        for p in parts
    ]
    body = {"sourceObjects": sources, "destination": {"contentType": target.content_type}}
    try:
        found = target.gcp(
            "storage",
            "ComposeObject",
            bucket=target.bucket,
            object=target.name,
            body=body,
            ifGenerationMatch=expected,
        )
    except CloudError as error:
        if not matches(error, MOVED):
            raise
        found = _there(target, size, error)
    if int(found["size"]) != size:
        raise _other_size(target, size, found)
    return str(found["generation"])


def remove_parts(gcp: Gcp, bucket: str, parts: list[Part]) -> None:
    """Delete the parts; those that are gone are success."""
    for part in parts:
        gcp.find("storage", "DeleteObject", MISSING, bucket=bucket, object=part.name)


def _part(target: Target, piece: Piece, there: Found | None, told: Callable[[int], None]) -> Part:
    if there is not None and (there.size, there.crc32c) == (piece.size, piece.crc32c):
        told(piece.size)
        return Part(target.name, there.generation)
    return Part(target.name, send(target, piece, told))


def _told(told: ToldPart, number: int) -> Callable[[int], None]:
    return lambda done: told(number, done)


def _there(target: Target, size: int, error: CloudError) -> dict[str, Any]:
    """The object that is there already: ours if it has been composed of as many bytes as it should."""
    found = target.gcp("storage", "GetObject", bucket=target.bucket, object=target.name)
    if not is_same(found, size, found.get("crc32c", "")):
        raise _other_size(target, size, found) from error
    return found


def _other_size(target: Target, size: int, found: Mapping[str, Any]) -> CloudError:
    return CloudError(
        f"object {target.name!r} in bucket {target.bucket!r} has {found.get('size')} bytes instead of {size}",
        why="somebody else wrote it",
        fix=f"remove it with 'gcloud storage rm gs://{target.bucket}/{target.name}', then run it again",
        code="conditionNotMet",
        operation="storage.ComposeObject",
    )
