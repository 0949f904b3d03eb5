"""The OCI Distribution API (OCI Distribution Specification 1.1, "API"), mounted under ``/v2/``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import parse_qs, quote

from clouddeploy.emulator.http.message import Request, Response
from clouddeploy.emulator.registry.refusals import RegistryRefused
from clouddeploy.emulator.registry.store import Store

PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
NAME = re.compile(rf"{PART}(?:/{PART})*\Z")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
PATHS = (
    ("upload", re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<wanted>[^/]*)\Z")),
    ("blob", re.compile(r"/v2/(?P<name>.+)/blobs/(?P<wanted>[^/]+)\Z")),
    ("manifest", re.compile(r"/v2/(?P<name>.+)/manifests/(?P<wanted>[^/]+)\Z")),
    ("tags", re.compile(r"/v2/(?P<name>.+)/tags/(?P<wanted>list)\Z")),
)
SIGNED = "AWS4-HMAC-SHA256"
VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")
READING = frozenset({"GET", "HEAD"})
OCTETS = ("Content-Type", "application/octet-stream")
MOST_TAGS = 1000


def answer(store: Store, request: Request) -> Response | None:
    """The registry's answer; None for one that isn't for it, as to API Gateway's ``/v2/apis``.

    A signature of AWS's tells those apart, and a registry's paths look like no other's.
    """
    path = request.path
    if not path.startswith("/v2") or request.headers.get("authorization", "").startswith(SIGNED):
        return None
    if path in ("/v2", "/v2/"):
        return Response(200, [VERSION, ("Content-Type", "application/json")], b"{}")
    if path == "/v2/_catalog":
        return _json({"repositories": sorted(store.repositories())})
    for kind, pattern in PATHS:
        match = pattern.match(path)
        if match:
            exchange = _Exchange(store, request, match["name"], match["wanted"])
            return exchange.answer(kind)
    return None


def _json(body: object, *headers: tuple[str, str]) -> Response:
    return Response(200, [VERSION, ("Content-Type", "application/json"), *headers], json.dumps(body).encode())


class _Exchange:
    """One request about something in a repository."""

    def __init__(self, store: Store, request: Request, name: str, wanted: str) -> None:
        self.store, self.request, self.name, self.wanted = store, request, name, wanted
        self.query = {k: v[0] for k, v in parse_qs(request.query).items()}

    def answer(self, kind: str) -> Response:
        """The answer, or the refusal."""
        method = self.request.method
        acts: dict[tuple[str, str], Callable[[], Response]] = {
            ("GET", "tags"): self.tags,
            ("GET", "manifest"): self.manifest,
            ("HEAD", "manifest"): self.manifest,
            ("PUT", "manifest"): self.put_manifest,
            ("DELETE", "manifest"): self.delete_manifest,
            ("GET", "blob"): self.blob,
            ("HEAD", "blob"): self.blob,
            ("DELETE", "blob"): self.delete_blob,
            ("POST", "upload"): self.begin,
            ("PATCH", "upload"): self.append,
            ("PUT", "upload"): self.finish,
            ("GET", "upload"): self.progress,
            ("DELETE", "upload"): self.cancel,
        }
        try:
            act = acts.get((method, kind))
            if act is None:
                raise RegistryRefused("UNSUPPORTED", f"{method} is not supported here")
            self._admit(pushing=method not in READING or kind == "upload")
            return act()
        except RegistryRefused as error:
            found = error.response()
            found.headers.append(VERSION)
            return found

    def _admit(self, *, pushing: bool) -> None:
        if not NAME.match(self.name):
            raise RegistryRefused("NAME_INVALID", f"invalid repository name {self.name!r}")
        space = self.store.space_of(self.name)
        if space is None:
            raise RegistryRefused("NAME_UNKNOWN", f"repository name {self.name!r} not known to registry")
        if not space.admits(self.request.headers.get("authorization", ""), self.name, pushing):
            wanted = (("WWW-Authenticate", space.challenge),)
            raise RegistryRefused("UNAUTHORIZED", "authentication required", wanted)
        if not space.exists(self.name):
            raise RegistryRefused("NAME_UNKNOWN", space.missing(self.name))

    # reading

    def tags(self) -> Response:
        """Tags of the repository, sorted, a page at a time."""
        known = sorted(self.store.repository(self.name).tags)
        after = [tag for tag in known if tag > self.query.get("last", "")]
        given = self.query.get("n", "")
        most = min(int(given), MOST_TAGS) if given.isdigit() else MOST_TAGS
        page = after[:most]
        more: list[tuple[str, str]] = []
        if page and len(after) > most:
            link = f"</v2/{self.name}/tags/list?n={most}&last={quote(page[-1])}>"
            more.append(("Link", f'{link}; rel="next"'))
        return _json({"name": self.name, "tags": page}, *more)

    def manifest(self) -> Response:
        """A manifest by tag or digest."""
        found = self.store.repository(self.name).find(self.wanted)
        if found is None:
            raise RegistryRefused("MANIFEST_UNKNOWN", f"manifest unknown: {self.name}:{self.wanted}")
        headers = [("Content-Type", found.media_type), ("Docker-Content-Digest", found.digest)]
        return self._content(found.content, headers)

    def blob(self) -> Response:
        """A blob, or what follows a byte of it."""
        path = self.store.blob(self.name, self._digest())
        if path is None:
            raise RegistryRefused("BLOB_UNKNOWN", "blob unknown to registry")
        size = path.stat().st_size
        headers = [OCTETS, ("Docker-Content-Digest", self.wanted), ("Accept-Ranges", "bytes")]
        if self.request.method == "HEAD":
            return Response(200, [VERSION, *headers, ("Content-Length", str(size))])
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.request.headers.get("range", ""))
        if match is None:
            return Response(200, [VERSION, *headers], path.read_bytes())
        start, stop = int(match[1]), min(size, int(match[2] or size) + 1)
        if start >= size:
            raise RegistryRefused("BLOB_UPLOAD_INVALID", f"the blob has {size} bytes")
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(stop - start)
        span = ("Content-Range", f"bytes {start}-{start + len(content) - 1}/{size}")
        return Response(206, [VERSION, *headers, span], content)

    def _content(self, content: bytes, headers: list[tuple[str, str]]) -> Response:
        if self.request.method == "HEAD":
            return Response(200, [VERSION, *headers, ("Content-Length", str(len(content)))])
        return Response(200, [VERSION, *headers], content)

    def _digest(self, text: str | None = None) -> str:
        found = self.wanted if text is None else text
        if not DIGEST.match(found):
            raise RegistryRefused("DIGEST_INVALID", f"{found!r} is no sha256 digest")
        return found

    # changing

    def put_manifest(self) -> Response:
        """Store a manifest under a tag or its digest."""
        if not (DIGEST.match(self.wanted) or TAG.match(self.wanted)):
            raise RegistryRefused("TAG_INVALID", f"{self.wanted!r} is no tag")
        kind = self.request.headers.get("content-type", "")
        made = self.store.put(self.name, self.wanted, self.request.body, kind)
        return self._made(201, f"/v2/{self.name}/manifests/{made.digest}", made.digest)

    def delete_manifest(self) -> Response:
        """Remove a manifest by digest, or a tag alone."""
        by_digest = self.wanted.startswith("sha256:")
        gone = (self.store.remove if by_digest else self.store.untag)(self.name, self.wanted)
        if not gone:
            raise RegistryRefused("MANIFEST_UNKNOWN", f"manifest unknown: {self.name}:{self.wanted}")
        return Response(202, [VERSION])

    def delete_blob(self) -> Response:
        """Remove a blob."""
        if not self.store.remove_blob(self.name, self._digest()):
            raise RegistryRefused("BLOB_UNKNOWN", "blob unknown to registry")
        return Response(202, [VERSION])

    def begin(self) -> Response:
        """Begin an upload; done at once when another repository has it, or the bytes come along."""
        mount, source = self.query.get("mount", ""), self.query.get("from", "")
        if mount and self._may_read(source) and self.store.mount(self.name, self._digest(mount), source):
            return self._made(201, f"/v2/{self.name}/blobs/{mount}", mount)
        identity = self.store.uploads.begin(self.name)
        if "digest" in self.query:
            self.wanted = identity
            try:
                return self.finish()
            except RegistryRefused:
                self.store.uploads.cancel(self.name, identity)
                raise
        return self._going_on(202, identity, 0)

    def _may_read(self, source: str) -> bool:
        space = self.store.space_of(source)
        given = self.request.headers.get("authorization", "")
        return space is not None and space.exists(source) and space.admits(given, source, False)

    def append(self) -> Response:
        """A part of a blob."""
        start = (self.request.headers.get("content-range") or "").partition("-")[0]
        at = int(start) if start.isdigit() else None
        size = self.store.uploads.append(self.name, self.wanted, self.request.body, at)
        return self._going_on(202, self.wanted, size)

    def finish(self) -> Response:
        """The last part of a blob, which may be empty, and its digest."""
        digest = self._digest(self.query.get("digest", ""))
        if self.request.body:
            self.append()
        file = self.store.uploads.finish(self.name, self.wanted, digest)
        self.store.add(self.name, digest, file)
        return self._made(201, f"/v2/{self.name}/blobs/{digest}", digest)

    def progress(self) -> Response:
        """How far an upload is."""
        return self._going_on(204, self.wanted, self.store.uploads.size(self.name, self.wanted))

    def cancel(self) -> Response:
        """Give an upload up."""
        self.store.uploads.cancel(self.name, self.wanted)
        return Response(204, [VERSION])

    def _going_on(self, status: int, identity: str, size: int) -> Response:
        where = f"/v2/{self.name}/blobs/uploads/{identity}"
        headers = [("Location", where), ("Range", f"0-{max(0, size - 1)}"), ("Docker-Upload-UUID", identity)]
        return Response(status, [VERSION, *headers])

    def _made(self, status: int, where: str, digest: str) -> Response:
        return Response(status, [VERSION, ("Location", where), ("Docker-Content-Digest", digest)])
