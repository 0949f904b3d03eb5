"""One request to Cloud Storage, taken apart."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote

from clouddeploy.emulator.google.storage.answers import Refusal
from clouddeploy.emulator.google.storage.conditions import Conditions
from clouddeploy.emulator.http.message import Request
from clouddeploy.emulator.http.streams import BodyStream

JSON_PATHS = ("/storage/v1/b", "/download/storage/v1/b", "/upload/storage/v1/b")


@dataclass(frozen=True)
class Ask:
    """A request, by the JSON API when `method` isn't one of the XML API's.

    Args:
        method: such as ``InsertObject``.
        bucket: the bucket's name, or empty.
        name: the object's name, or empty.
        rest: further parts of the path.
    """

    request: Request
    method: str
    bucket: str = ""
    name: str = ""
    rest: tuple[str, ...] = ()
    is_xml: bool = False

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The parameters of the query."""
        return dict(parse_qsl(self.request.query, keep_blank_values=True))

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with lower-case names."""
        return self.request.headers

    @cached_property
    def conditions(self) -> Conditions:
        """The preconditions."""
        return Conditions(self.query, self.headers)

    @property
    def generation(self) -> int | None:
        """The generation that is asked for."""
        text = self.query.get("generation")
        return int(text) if text and text.isdigit() else None

    @property
    def body(self) -> bytes:
        """The whole body, which must be small."""
        stream = self.request.stream
        if stream is None:
            return self.request.body
        pieces = []
        while piece := stream.read():
            pieces.append(piece)
        return b"".join(pieces)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            Refusal: 400, it is none.
        """
        return json_object(self.body)


def json_object(text: bytes) -> dict[str, Any]:
    """A JSON object; nothing is an empty one.

    Raises:
        Refusal: 400, it is none.
    """
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError:
        raise Refusal(400, "Parse Error", reason="parseError") from None
    if not isinstance(found, dict):
        raise Refusal(400, "Parse Error", reason="parseError")
    return found


def body_of(request: Request) -> BodyStream | Held:
    """The body of a request, to be read piece by piece."""
    return request.stream if request.stream is not None else Held(request.body)


class Held:
    """A body that was read already, as a stream."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def read(self, size: int = 1 << 20) -> bytes:
        """Up to `size` bytes."""
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


BUCKET_METHODS = {
    "GET": "GetBucket", "DELETE": "DeleteBucket", "PATCH": "PatchBucket", "PUT": "UpdateBucket",
}  # fmt: skip
OBJECT_METHODS = {
    "GET": "GetObject", "DELETE": "DeleteObject", "PATCH": "PatchObject", "PUT": "UpdateObject",
}  # fmt: skip
XML_METHODS = {
    "GET": "GetObject", "HEAD": "GetObject", "PUT": "InsertObject", "DELETE": "DeleteObject",
}  # fmt: skip


def json_ask(request: Request) -> Ask | None:
    """The request, when it is one of the JSON API."""
    path = request.raw_path
    base = next((p for p in JSON_PATHS if path == p or path.startswith(p + "/")), None)
    if base is None:
        return None
    bucket, *rest = [unquote(part) for part in path[len(base) + 1 :].split("/")]
    verb = request.method
    if not bucket:
        return Ask(request, "CreateBucket" if verb == "POST" else "ListBuckets")
    if not rest:
        return Ask(request, BUCKET_METHODS.get(verb, ""), bucket)
    if rest[0] == "iam":
        probing = rest[1:] == ["testPermissions"]
        kind = "TestIamPermissions" if probing else ("SetIamPolicy" if verb == "PUT" else "GetIamPolicy")
        return Ask(request, kind, bucket)
    if rest[0] != "o":
        return Ask(request, "", bucket)
    if base.startswith("/upload"):
        return Ask(request, "InsertObject", bucket)
    if len(rest) == 1:
        return Ask(request, "ListObjects" if verb == "GET" else "", bucket)
    name, *more = rest[1:]
    if not more:
        return Ask(request, OBJECT_METHODS.get(verb, ""), bucket, name)
    known = {"compose": "ComposeObject", "rewriteTo": "RewriteObject", "copyTo": "CopyObject"}
    return Ask(request, known.get(more[0], ""), bucket, name, tuple(more))


def xml_ask(request: Request) -> Ask | None:
    """The request, as one of the XML API; None when its path can't be one."""
    bucket, slash, name = request.raw_path[1:].partition("/")
    if not slash or not name or not is_bucket_name(bucket):
        return None
    method = XML_METHODS.get(request.method, "")
    query = request.query
    if "uploads" in query.split("&") and request.method == "POST":
        method = "StartParts"
    elif "uploadId=" in query:
        method = {"PUT": "PutPart", "POST": "JoinParts", "DELETE": "DropParts"}.get(request.method, "")
    return Ask(request, method, bucket, unquote(name), is_xml=True)


def is_bucket_name(name: str) -> bool:
    """Whether a bucket may be called so ("Bucket names", Cloud Storage documentation)."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", name) or ".." in name:
        return False
    if name.startswith("goog") or "google" in name or re.fullmatch(r"\d+\.\d+\.\d+\.\d+", name):
        return False
    return all(len(part) <= 63 for part in name.split(".")) if "." in name else len(name) <= 63
