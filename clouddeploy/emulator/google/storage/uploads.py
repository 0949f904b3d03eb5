"""Uploads by the JSON API: media, multipart and resumable ("Uploads and downloads", Cloud Storage)."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from clouddeploy.emulator.google.storage.answers import HEADERS, Refusal, answer, nothing
from clouddeploy.emulator.google.storage.ask import Ask, body_of, json_object
from clouddeploy.emulator.google.storage.beside import Beside
from clouddeploy.emulator.google.storage.conditions import Conditions
from clouddeploy.emulator.google.storage.digests import Digests, stated_in
from clouddeploy.emulator.google.storage.records import Object, writable
from clouddeploy.emulator.http.message import Response
from clouddeploy.emulator.http.streams import PIECE

if TYPE_CHECKING:
    from clouddeploy.emulator.google.storage.service import Storage

CHUNK = 262_144
HEAD = 1 << 16
RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class Source(Protocol):
    """What bytes are read from."""

    def read(self, size: int = ...) -> bytes:
        """Up to `size` bytes; empty at the end."""


def insert(storage: Storage, ask: Ask) -> Response:
    """objects.insert, in the way that ``uploadType`` says."""
    kind = ask.query.get("uploadType", "")
    if ask.query.get("upload_id"):
        return storage.sessions.go_on(storage, ask)
    if kind == "resumable" and ask.request.method == "POST":
        return storage.sessions.begin(storage, ask)
    if kind == "multipart":
        return _multipart(storage, ask)
    if kind == "media":
        given = {"name": ask.query.get("name", ""), "contentType": ask.headers.get("content-type")}
        return _single(storage, ask, given, body_of(ask.request))
    raise Refusal(400, f"Invalid upload type: {kind!r}")


def _single(storage: Storage, ask: Ask, given: Mapping[str, Any], source: Source) -> Response:
    made = store(storage, ask, object_name(ask, given), given, source)
    return answer(made.describe(storage.url()))


def object_name(ask: Ask, given: Mapping[str, Any]) -> str:
    """The name of the object to be made.

    Raises:
        Refusal: 400, there is none, or none that an object may have.
    """
    name = str(ask.query.get("name") or given.get("name") or "")
    if not name:
        raise Refusal(400, "Required", reason="required")
    if len(name.encode()) > 1024 or "\r" in name or "\n" in name or name in (".", ".."):
        raise Refusal(400, f"Invalid object name: {name[:80]!r}")
    return name


def receive(source: Source, file: BinaryIO, digests: Digests) -> None:
    """Write everything from `source` to `file`; the checksums of much are taken beside."""
    first = source.read()
    digests.update(first)
    file.write(first)
    if len(first) < PIECE:
        while piece := source.read():
            digests.update(piece)
            file.write(piece)
        return
    with Beside(digests.update) as beside:
        while piece := source.read():
            beside.give(piece)
            file.write(piece)


def store(storage: Storage, ask: Ask, name: str, given: Mapping[str, Any], source: Source) -> Object:
    """Make an object of everything that `source` gives.

    Raises:
        Refusal: a precondition doesn't hold, or a checksum is wrong.
    """
    storage.store.check(ask.bucket, name, ask.conditions)
    path, digests = storage.store.new_file(), Digests()
    try:
        with path.open("wb", buffering=0) as file:
            receive(source, file, digests)
        digests.check({**given, **stated_in(ask.headers)})
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return storage.store.commit(
        ask.bucket, name, path, size=digests.size, crc32c=digests.crc32c, md5=digests.md5,
        given=writable(given), conditions=ask.conditions,
    )  # fmt: skip


class _Last:
    """The last part of a multipart body: everything up to its closing delimiter."""

    def __init__(self, source: Source, begun: bytes, delimiter: bytes) -> None:
        self._source, self._rest, self._delimiter = source, begun, delimiter
        self._hold = len(delimiter) + HEAD
        self._done = False

    def read(self, size: int = 1 << 20) -> bytes:
        """The next bytes of the part; what may be the delimiter is held back until more is there."""
        while not self._done and len(self._rest) <= self._hold:
            piece = self._source.read(size)
            if not piece:
                position = self._rest.rfind(self._delimiter)
                if position < 0:
                    raise Refusal(400, "Multipart body isn't closed by its boundary.")
                self._rest, self._done = self._rest[:position], True
                break
            self._rest = self._rest + piece if self._rest else piece
        end = len(self._rest) if self._done else len(self._rest) - self._hold
        given, self._rest = self._rest[:end], self._rest[end:]
        return given


def _multipart(storage: Storage, ask: Ask) -> Response:
    kind = ask.headers.get("content-type", "")
    found = re.search(r'boundary="?([^";]+)"?', kind)
    if not kind.lower().startswith("multipart/related") or found is None:
        raise Refusal(400, "Multipart content type with a boundary is required.")
    delimiter = b"\r\n--" + found[1].strip("'").encode()
    source = body_of(ask.request)
    begun = b"\r\n"
    while len(begun) < HEAD and begun.count(delimiter) < 3 and (piece := source.read(HEAD)):
        begun += piece
    try:
        _, first, rest = begun.split(delimiter, 2)
        metadata = first.split(b"\r\n\r\n", 1)[1]
        head, body = rest.split(b"\r\n\r\n", 1)
    except (ValueError, IndexError):
        raise Refusal(400, "Multipart body must have a part of metadata and one of media.") from None
    given = json_object(metadata)
    media = re.search(rb"(?i)content-type:\s*([^\r\n]+)", head)
    if media and not given.get("contentType"):
        given["contentType"] = media[1].decode("latin-1").strip()
    return _single(storage, ask, given, _Last(source, body, delimiter))


@dataclass
class Session:
    """One resumable upload."""

    bucket: str
    name: str
    given: dict[str, Any]
    conditions: Conditions
    path: Path
    digests: Digests = field(default_factory=Digests)
    lock: threading.Lock = field(default_factory=threading.Lock)
    made: Object | None = None


class Sessions:
    """The resumable uploads under way; a finished one still tells its result."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def begin(self, storage: Storage, ask: Ask) -> Response:
        """Open a session: its address is in ``Location``."""
        given = ask.json()
        given.setdefault("contentType", ask.headers.get("x-upload-content-type"))
        name = object_name(ask, given)
        storage.store.check(ask.bucket, name, ask.conditions)
        identity = secrets.token_urlsafe(32)
        path = storage.store.new_file()
        path.touch()
        self._sessions[identity] = Session(ask.bucket, name, given, ask.conditions, path)
        place = (
            f"{storage.url()}/upload/storage/v1/b/{ask.bucket}/o?uploadType=resumable&upload_id={identity}"
        )
        return Response(200, [("Location", place), ("X-GUploader-UploadID", identity)])

    def go_on(self, storage: Storage, ask: Ask) -> Response:
        """Take a chunk, tell how far the upload is, or give it up."""
        identity = ask.query["upload_id"]
        session = self._sessions.get(identity)
        if session is None:
            raise Refusal(404, "Upload session not found.")
        with session.lock:
            if ask.request.method == "DELETE":
                del self._sessions[identity]
                session.path.unlink(missing_ok=True)
                return nothing(499)
            if session.made is None:
                _take(ask, session)
                self._finish(storage, ask, identity, session)
            if session.made is None:
                return _incomplete(session)
            return answer(session.made.describe(storage.url()))

    def _finish(self, storage: Storage, ask: Ask, identity: str, session: Session) -> None:
        """Make the object once all is there; a session that is refused then is over."""
        _, _, total = _content_range(ask)
        digests = session.digests
        if total is None or digests.size < total:
            return
        try:
            if digests.size > total:
                raise Refusal(400, f"Invalid request. There were {digests.size} bytes, not {total}.")
            digests.check({**session.given, **stated_in(ask.headers)})
            session.made = storage.store.commit(
                session.bucket, session.name, session.path, size=total, crc32c=digests.crc32c,
                md5=digests.md5, given=writable(session.given), conditions=session.conditions,
            )  # fmt: skip
        except Refusal:
            del self._sessions[identity]
            session.path.unlink(missing_ok=True)
            raise

    def clear(self) -> None:
        """Forget all of them."""
        gone = list(self._sessions.values())
        self._sessions.clear()
        for session in gone:
            if session.made is None:
                session.path.unlink(missing_ok=True)


def _take(ask: Ask, session: Session) -> None:
    """Write a chunk behind what is there.

    Raises:
        Refusal: 400, it leaves a gap, or isn't as large as a chunk must be.
    """
    start, length, total = _content_range(ask)
    if length == 0:
        return
    digests = session.digests
    if start > digests.size:
        raise Refusal(400, f"Invalid request. The upload has {digests.size} bytes, not {start} yet.")
    if total is None and length is not None and length % CHUNK:
        raise Refusal(400, f"Invalid request. A chunk must be a multiple of {CHUNK} bytes.")
    source = body_of(ask.request)
    _skip(source, digests.size - start)
    with session.path.open("ab", buffering=0) as file:
        receive(source, file, digests)


def _incomplete(session: Session) -> Response:
    size = session.digests.size
    return Response(308, [*HEADERS, *([("Range", f"bytes=0-{size - 1}")] if size else [])])


def _content_range(ask: Ask) -> tuple[int, int | None, int | None]:
    """Start and length of a chunk, and the length of the whole where it is known.

    Raises:
        Refusal: 400, ``Content-Range`` makes no sense.
    """
    text = ask.headers.get("content-range")
    length = ask.headers.get("content-length")
    if text is None:  # the whole in one request
        size = int(length) if length and length.isdigit() else None
        return 0, size, size
    found = RANGE.fullmatch(text.strip())
    if found is None:
        raise Refusal(400, f"Failed to parse Content-Range header: {text!r}")
    first, last, whole = found.groups()
    total = None if whole == "*" else int(whole)
    return (0, 0, total) if first is None else (int(first), int(last) - int(first) + 1, total)


def _skip(source: Source, size: int) -> None:
    """Read over what is there already."""
    while size > 0 and (piece := source.read(size)):
        size -= len(piece)
