"""Cloud Storage as one object: requests in, answers out, and the bytes for the control plane."""

from __future__ import annotations

import calendar
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, quote, urlencode

from clouddeploy.emulator.google.storage import buckets, objects, uploads, xml
from clouddeploy.emulator.google.storage.answers import Refusal, denied
from clouddeploy.emulator.google.storage.ask import Ask, json_ask, xml_ask
from clouddeploy.emulator.google.storage.records import Bucket, Object
from clouddeploy.emulator.google.storage.store import Store
from clouddeploy.emulator.google.storage.uploads import Sessions
from clouddeploy.emulator.google.storage.xml import PartedUploads
from clouddeploy.emulator.http.message import Request, Response

Permits = Callable[[Request, str, str, str], bool]
Method = Callable[["Storage", Ask], Response]
SIGNATURE = "X-Goog-Signature"
METHODS: Mapping[str, tuple[str, Method]] = {
    "ListBuckets": ("storage.buckets.list", buckets.listing),
    "CreateBucket": ("storage.buckets.create", buckets.create),
    "GetBucket": ("storage.buckets.get", buckets.get),
    "PatchBucket": ("storage.buckets.update", buckets.patch),
    "UpdateBucket": ("storage.buckets.update", buckets.patch),
    "DeleteBucket": ("storage.buckets.delete", buckets.delete),
    "GetIamPolicy": ("storage.buckets.getIamPolicy", buckets.get_policy),
    "SetIamPolicy": ("storage.buckets.setIamPolicy", buckets.set_policy),
    "TestIamPermissions": ("", buckets.test_permissions),
    "ListObjects": ("storage.objects.list", objects.listing),
    "GetObject": ("storage.objects.get", objects.get),
    "PatchObject": ("storage.objects.update", objects.patch),
    "UpdateObject": ("storage.objects.update", objects.patch),
    "DeleteObject": ("storage.objects.delete", objects.delete),
    "ComposeObject": ("storage.objects.create", objects.compose),
    "RewriteObject": ("storage.objects.create", objects.copy),
    "CopyObject": ("storage.objects.create", objects.copy),
    "InsertObject": ("storage.objects.create", uploads.insert),
}
XML_METHODS: Mapping[str, tuple[str, Method]] = {
    "GetObject": ("storage.objects.get", objects.get),
    "DeleteObject": ("storage.objects.delete", objects.delete),
    "InsertObject": ("storage.objects.create", xml.put),
    "StartParts": ("storage.objects.create", xml.begin),
    "PutPart": ("storage.objects.create", xml.put_part),
    "JoinParts": ("storage.objects.create", xml.join),
    "DropParts": ("storage.multipartUploads.abort", xml.drop),
}


class Storage:
    """The embedded Cloud Storage.

    Args:
        folder: where the bytes are kept; made when it is needed.
        url: where it is reached, for the links in answers.
        taken: bucket names that somebody else owns.
        permits: whether the sender of a request has a permission on a bucket, or on an object of it, whose
            name comes last; by default everybody has every one.
    """

    def __init__(
        self,
        folder: Path,
        url: Callable[[], str],
        *,
        taken: Callable[[], Collection[str]] = tuple,
        permits: Permits | None = None,
    ) -> None:
        self.store = Store(folder, taken)
        self.sessions: Sessions = Sessions()
        self.parted: PartedUploads = PartedUploads()
        self.url, self._permits = url, permits
        self._secret = secrets.token_bytes(32)

    def streams(self, request: Request) -> bool:
        """Whether the request's body is to be left unread, because it may be large."""
        if request.target.startswith("/upload/storage/"):
            return True
        return request.method == "PUT" and self._ask(request) is not None

    def identify(self, request: Request) -> str | None:
        """The method that a request calls, such as ``InsertObject``; None: not a request for storage."""
        ask = self._ask(request)
        return ask.method if ask is not None else None

    def _ask(self, request: Request) -> Ask | None:
        ask = json_ask(request)
        if ask is None:
            ask = xml_ask(request)
            if ask is not None and ask.bucket not in self.store.buckets and SIGNATURE not in request.query:
                return None
        return ask

    def handle(self, request: Request) -> Response | None:
        """The answer to one request; None when it isn't one for storage."""
        ask = self._ask(request)
        if ask is None:
            return None
        try:
            known = (XML_METHODS if ask.is_xml else METHODS).get(ask.method)
            if known is None:
                raise Refusal(405, "The specified method is not allowed against this resource.")
            permission, method = known
            self._authorize(request, permission, ask)
            return method(self, ask)
        except Refusal as error:
            return error.xml() if ask.is_xml else error.json()

    def permits(self, request: Request, permission: str, bucket: str, name: str = "") -> bool:
        """Whether the sender has the permission on the bucket, or on the object `name` in it."""
        return self._permits is None or self._permits(request, permission, bucket, name)

    def _authorize(self, request: Request, permission: str, ask: Ask) -> None:
        if ask.is_xml and SIGNATURE in request.query:
            self._verify(request)
        elif "upload_id" in ask.query:
            return  # "Resumable uploads": whoever has the session's address may go on
        elif permission:
            name = ask.name or ask.query.get("name", "")
            if not self.permits(request, permission, ask.bucket, name):
                raise denied(permission)

    def signed_url(self, bucket: str, name: str, *, method: str = "PUT", expires_s: int = 1800) -> str:
        """An address that whoever holds it may use with `method` until it expires."""
        path = f"/{bucket}/{quote(name, safe='/')}"
        query = {
            "X-Goog-Algorithm": "GOOG4-RSA-SHA256",
            "X-Goog-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
            "X-Goog-Expires": str(expires_s),
        }
        text = urlencode(query)
        return f"{self.url()}{path}?{text}&{SIGNATURE}={self._sign(method, path, text)}"

    def _sign(self, method: str, path: str, query: str) -> str:
        return hmac.new(self._secret, f"{method} {path}?{query}".encode(), hashlib.sha256).hexdigest()

    def _verify(self, request: Request) -> None:
        query, _, signature = request.query.partition(f"&{SIGNATURE}=")
        if not hmac.compare_digest(signature, self._sign(request.method, request.raw_path, query)):
            message = "Access denied: the signature doesn't fit the request."
            raise Refusal(403, message, code="SignatureDoesNotMatch")
        fields = parse_qs(query)
        began = time.strptime(fields["X-Goog-Date"][0], "%Y%m%dT%H%M%SZ")
        if time.time() > calendar.timegm(began) + int(fields["X-Goog-Expires"][0]):
            raise Refusal(400, "Invalid argument: the signed URL has expired.", code="ExpiredToken")

    def ensure_bucket(self, name: str, project: str, location: str) -> Bucket:
        """A bucket of the cloud's own, made unless it is there."""
        with self.store.lock:
            found = self.store.buckets.get(name)
            return found or self.store.create(name, project, {"location": location.upper()})

    def find(self, bucket: str, name: str, generation: int | None = None) -> Object | None:
        """An object that is there, `path` being the file of its bytes; None when it isn't."""
        try:
            return self.store.find(bucket, name, generation)
        except Refusal:
            return None

    def open(self, bucket: str, name: str, generation: int | None = None) -> BinaryIO:
        """The bytes of an object, open for reading even when it is deleted meanwhile.

        Raises:
            Refusal: 404, there is no such object; 403, it is somebody else's.
        """
        return self.store.open(self.store.find(bucket, name, generation))

    def clear(self) -> None:
        """Forget everything."""
        self.sessions.clear()
        self.parted.clear()
        self.store.clear()
