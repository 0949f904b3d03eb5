"""One object, or a part of one, sent in a resumable session: after a broken connection from where it broke.

The whole range goes in one request, with its CRC32C and a generation precondition stated beforehand
(Cloud Storage documentation, "Resumable uploads", "Hashes and ETags: best practices").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from clouddeploy.errors import CloudDeployError, CloudError
from clouddeploy.providers.gcp.client import Gcp
from clouddeploy.providers.gcp.content import Content, Range, Told
from clouddeploy.providers.gcp.faults import MOVED, is_passing, matches

SMALL_BYTES: Final = 8 << 20
"""Up to here one request does it, as google-cloud-storage does, too."""
PATIENCE: Final = 6
"""Attempts in a row that get no further."""
SESSION_GONE: Final = frozenset({"NOT_FOUND", "404", "410"})


@dataclass(frozen=True)
class Target:
    """The object to be.

    Args:
        gcp: the seam.
        bucket: its bucket.
        name: its name.
        content_type: of its bytes.
    """

    gcp: Gcp
    bucket: str
    name: str
    content_type: str = "application/octet-stream"


@dataclass(frozen=True)
class Piece:
    """A range of a content, and its CRC32C in base64."""

    content: Content
    start: int
    end: int
    crc32c: str

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start


def send(target: Target, piece: Piece, told: Told) -> str:
    """Send the piece as the object, and return its generation.

    The object with just these bytes being there already, such as after a lost answer, is success; one
    with others is replaced, unless somebody replaces it at the same time.

    Raises:
        CloudError: Cloud Storage refused it.
    """
    expected = "0"
    while True:
        try:
            return _send(target, piece, expected, told)
        except CloudError as error:
            if not matches(error, MOVED):
                raise
            found = target.gcp("storage", "GetObject", bucket=target.bucket, object=target.name)
            if is_same(found, piece.size, piece.crc32c):
                told(piece.size)
                return str(found["generation"])
            if expected == str(found["generation"]) or expected != "0":
                raise  # somebody else is writing it all the time
            expected = str(found["generation"])


def is_same(found: dict[str, Any], size: int, crc32c: str) -> bool:
    """Whether an object, as the API describes it, has these bytes."""
    return int(found.get("size", -1)) == size and found.get("crc32c") == crc32c


def _send(target: Target, piece: Piece, expected: str, told: Told) -> str:
    if piece.size <= SMALL_BYTES:
        body = piece.content.read(piece.start, piece.size)
        found = target.gcp(
            "storage",
            "InsertObject",
            bucket=target.bucket,
            name=target.name,
            body=body,
            contentType=target.content_type,
            ifGenerationMatch=expected,
        )
        told(piece.size)
        return str(found["generation"])
    return _in_session(target, piece, expected, told)


def _in_session(target: Target, piece: Piece, expected: str, told: Told) -> str:
    session, received, failures = _opened(target, piece, expected), 0, 0
    while True:
        try:
            found = _attempt(target.gcp, session, piece, received, told)
        except CloudDeployError as error:
            cause = error.__cause__
            failures += 1
            gone = matches(error, SESSION_GONE)
            if failures >= PATIENCE or not (gone or (cause is not None and is_passing(cause))):
                raise
            target.gcp.back_off(failures)
            if gone:
                session, received = _opened(target, piece, expected), 0
                continue
            found = _asked(target.gcp, session, piece)
        if "generation" in found:
            told(piece.size)
            return str(found["generation"])
        further = int(found["received"])
        failures = 0 if further > received else failures + 1
        received = further
        if failures >= PATIENCE:
            raise _stuck(target, piece, received)


def _opened(target: Target, piece: Piece, expected: str) -> str:
    answer = target.gcp(
        "storage",
        "StartUpload",
        bucket=target.bucket,
        name=target.name,
        size=piece.size,
        crc32c=piece.crc32c,
        contentType=target.content_type,
        ifGenerationMatch=expected,
    )
    return str(answer["session"])


def _attempt(gcp: Gcp, session: str, piece: Piece, received: int, told: Told) -> dict[str, Any]:
    """Send what is missing, once: what was received of it is to be asked for before the next attempt."""
    body = Range(piece.content, piece.start + received, piece.end, _from(received, told))
    params = {"session": session, "body": body, "offset": received, "size": piece.size}
    return gcp.call("storage", "SendUpload", params, attempts=1)


def _asked(gcp: Gcp, session: str, piece: Piece) -> dict[str, Any]:
    """How much was received; nothing where the session is gone, so that a new one is opened."""
    found = gcp.find("storage", "QueryUpload", SESSION_GONE, session=session, size=piece.size)
    return {"received": 0} if found is None else found


def _from(received: int, told: Told) -> Callable[[int], None]:
    return lambda done: told(received + done)


def _stuck(target: Target, piece: Piece, received: int) -> CloudError:
    return CloudError(
        f"Cloud Storage takes no more than {received} of the {piece.size} bytes of {target.name!r}",
        why=f"{PATIENCE} attempts got no further",
        fix="run it again",
        code="INCOMPLETE",
        operation="storage.SendUpload",
    )
